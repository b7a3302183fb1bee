import { type AccessTokenClaims, CLOCK_LEEWAY, MAX_LIFETIME } from '../token/claims.js'

/**
 * The known revocations, and how far back they reach. Every time here is on the clock of the store or the service that wrote
 * the feed. Times are Unix seconds if nothing else is said.
 */
export interface RevocationList {
  /** @param at a time at or after the revocation */
  addSession(sid: string, at: number): void
  /** The tokens that a client got for itself, with `iat` up to `issuedUntil`, have ended. */
  addClient(clientId: string, issuedUntil: number, at: number): void
  /** Every revocation since this time is in the list. @param time Unix milliseconds. Infinity: nothing is certain */
  coverSince(time: number): void
  /** Sets the epoch: nothing is known of tokens that were issued before it. Undefined if the store has none. */
  setEpoch(epoch: number | undefined): void
  isRevoked(claims: AccessTokenClaims): boolean
  /** Whether the list has every revocation that could concern this token. If not, the token must be looked up. */
  covers(claims: AccessTokenClaims): boolean
  /** Drops older revocations. Tokens that were issued before are not covered from now on. @param time Unix milliseconds */
  forgetBefore(time: number): void
  readonly size: number
  /** The longest lifetime of a token that `covers` was asked about, in seconds. */
  readonly longestLifetime: number
}

/**
 * Seconds. The clock of the issuer may be ahead of the feed's clock by this much, so a token may be older than its `iat` says. A
 * verifier refuses a token from further ahead on its own clock, and ignores its list if the feed's clock is further off.
 */
const MAX_CLOCK_DIFFERENCE = 2 * CLOCK_LEEWAY
/** Milliseconds. The longest time for which writers keep an entry: the life of a token and 60 s. */
export const MAX_RETENTION = (MAX_LIFETIME + 60) * 1000
/** Revocations in memory, about 70 bytes each. Past this number the oldest are dropped, and older tokens are looked up. */
const MAX_SIZE = 2_000_000

/**
 * The revocations in memory.
 *
 * A known revocation stays, even if the feed is emptied, rolled back, or failed over to a replica without the entry. A dropped
 * revocation never makes a token valid: `covers` is false for every token that was issued before it.
 */
export function createRevocationList(maxSize = MAX_SIZE): RevocationList {
  // A Map keeps the order of insertion, and so the order of time: the oldest entries come first. Seconds are small integers,
  // which V8 stores without a heap object.
  const sessions = new Map<string, number>()
  const clients = new Map<string, { issuedUntil: number; at: number }>()
  /** Unix milliseconds. */
  let knownSince = Number.POSITIVE_INFINITY
  let epoch: number | undefined
  let coveredSince = Number.POSITIVE_INFINITY
  /** The time of the last revocation that was dropped because the list was full. Unix milliseconds. */
  let droppedUntil = 0
  let longestLifetime = 0

  function updateCover(since: number): void {
    knownSince = since
    // The epoch is rounded down: a token of the same second may be older than the epoch.
    const begin = epoch === undefined ? Number.POSITIVE_INFINITY : epoch + 1
    coveredSince = Math.max(knownSince / 1000, droppedUntil / 1000, begin) + MAX_CLOCK_DIFFERENCE
  }

  function limitSize(map: Map<string, unknown>, at: (key: string) => number): void {
    if (map.size <= maxSize) return
    // Many at once: an iterator of a Map passes over every entry that was deleted at its front. One at a time, each revocation
    // past 2,000,000 took 42 µs, and takes 1.4 µs.
    let surplus = Math.ceil(maxSize / 16)
    for (const key of map.keys()) {
      droppedUntil = Math.max(droppedUntil, at(key) * 1000)
      map.delete(key)
      surplus -= 1
      if (surplus === 0) break
    }
    updateCover(knownSince)
  }

  return {
    addSession(sid, at) {
      const known = sessions.get(sid)
      if (known !== undefined) {
        // The feed was read again from its start, or a later entry repeats the session.
        if (known >= at) return
        sessions.delete(sid)
      }
      sessions.set(sid, at)
      limitSize(sessions, (key) => sessions.get(key) as number)
    },

    addClient(clientId, issuedUntil, at) {
      const known = clients.get(clientId)
      clients.delete(clientId)
      clients.set(clientId, {
        issuedUntil: Math.max(issuedUntil, known?.issuedUntil ?? 0),
        at: Math.max(at, known?.at ?? 0),
      })
      limitSize(clients, (key) => clients.get(key)?.at as number)
    },

    coverSince: updateCover,

    setEpoch(seconds) {
      if (seconds === epoch) return
      epoch = seconds
      updateCover(knownSince)
    },

    isRevoked({ sub, sid, iat }) {
      if (sid !== undefined && sessions.has(sid)) return true
      const client = clients.get(sub)
      return client !== undefined && iat <= client.issuedUntil
    },

    covers({ iat, exp }) {
      if (exp - iat > longestLifetime) longestLifetime = exp - iat
      return iat >= coveredSince
    },

    forgetBefore(time) {
      if (!(time > knownSince)) return
      updateCover(time)
      for (const [sid, at] of sessions) {
        if (at * 1000 >= time) break
        sessions.delete(sid)
      }
      for (const [clientId, { at }] of clients) {
        if (at * 1000 >= time) break
        clients.delete(clientId)
      }
    },

    get size() {
      return sessions.size + clients.size
    },

    get longestLifetime() {
      return longestLifetime
    },
  }
}
