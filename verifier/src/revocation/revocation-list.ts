import { type AccessTokenClaims, CLOCK_LEEWAY, isId, MAX_LIFETIME } from '../token/claims.js'
import { parseWholeNumber } from './redis-keys.js'

/** An entry of the feed in Redis: `MILLISECONDS-SEQUENCE` on Redis's clock, and fields and values in turn. */
export type FeedEntry = readonly [id: string, fields: readonly string[]]

/** The time of an entry, in Unix milliseconds on Redis's clock. */
export function entryTime([id]: FeedEntry): number {
  return Number(id.slice(0, id.indexOf('-')))
}

/** The known revocations, and how far back they reach. Times are Unix seconds on Redis's clock, if nothing else is said. */
export interface RevocationList {
  add(entries: readonly FeedEntry[]): void
  /** The feed is read from its start, and this is its first entry. Earlier entries are unknown. */
  startAt(first: FeedEntry): void
  /** Sets the epoch of the store (`lk1:epoch`). Undefined if the store has none. */
  setEpoch(epoch: number | undefined): void
  isRevoked(claims: AccessTokenClaims): boolean
  /** Whether the list has every revocation that could concern this token. If not, the token must be looked up. */
  covers(claims: AccessTokenClaims): boolean
  /** Drops the entries that can concern no valid token. @param redisNow Unix milliseconds */
  forget(redisNow: number): void
  readonly size: number
  /** The number of entries that could not be read in full. */
  readonly malformed: number
}

/**
 * Seconds. The clock of the issuer may be ahead of Redis's clock by this much, so a token may be older than its `iat` says. A
 * verifier refuses a token from further ahead on its own clock, and ignores its list if Redis's clock is further off.
 */
const MAX_CLOCK_DIFFERENCE = 2 * CLOCK_LEEWAY
/** Milliseconds. Writers keep an entry for the life of a token and 60 s. This is the retention until a heartbeat names one. */
const MAX_RETENTION = (MAX_LIFETIME + 60) * 1000
/** Milliseconds. A token lives for 1 s or more, so no service keeps an entry for less. */
const MIN_RETENTION = 1000
const ENTRY_ID = /^\d{1,15}-\d{1,20}$/

/**
 * The revocations in memory.
 *
 * A known revocation stays, even if the feed is emptied, rolled back, or failed over to a replica without the entry. The list
 * drops a revocation when the writers drop theirs (`hb`), and that is later than the token expires. A token may live longer,
 * because ACCESS_TTL was longer yesterday. Then `covers` returns false, and the token is looked up. So the list holds the
 * revocations of one token lifetime, and a dropped entry never makes a token valid.
 */
export function createRevocationList(): RevocationList {
  // A Map keeps the order of insertion, and so the order of time: the oldest entries come first. Seconds are small integers,
  // which V8 stores without a heap object.
  const sessions = new Map<string, number>()
  const clients = new Map<string, { issuedUntil: number; at: number }>()
  let retention = MAX_RETENTION
  let malformed = 0
  let knownSince = Number.POSITIVE_INFINITY
  let epoch: number | undefined
  let coveredSince = Number.POSITIVE_INFINITY

  function updateCover(): void {
    // The epoch is rounded down: a token of the same second may be older than the epoch.
    coveredSince =
      epoch === undefined ? Number.POSITIVE_INFINITY : Math.max(knownSince / 1000, epoch + 1) + MAX_CLOCK_DIFFERENCE
  }

  function addSession(sid: string, at: number): void {
    const known = sessions.get(sid)
    if (known !== undefined) {
      // The feed was read again from its start, or a later entry repeats the session.
      if (known >= at) return
      sessions.delete(sid)
    }
    sessions.set(sid, at)
  }

  function addClient(sub: string, issuedUntil: number, at: number): void {
    const known = clients.get(sub)
    clients.delete(sub)
    clients.set(sub, {
      issuedUntil: Math.max(issuedUntil, known?.issuedUntil ?? 0),
      at: Math.max(at, known?.at ?? 0),
    })
  }

  /**
   * Adds an entry field by field. Returns false if a part of the entry is malformed; that part is ignored. A word that is read
   * as a number would be NaN, and a comparison with NaN would make revoked tokens valid.
   */
  function addEntry(entry: FeedEntry): boolean {
    const [id, fields] = entry
    if (!ENTRY_ID.test(id)) return false
    const at = Math.ceil(entryTime(entry) / 1000)
    let isWhole = fields.length > 0 && fields.length % 2 === 0
    /** The client that the next `nbf` belongs to. */
    let client: string | undefined
    for (let i = 0; i + 1 < fields.length; i += 2) {
      const value = fields[i + 1] as string
      switch (fields[i]) {
        case 'sid':
          if (isId(value)) addSession(value, at)
          else isWhole = false
          break
        case 'sub':
          if (client !== undefined || !isId(value)) isWhole = false
          client = isId(value) ? value : undefined
          break
        case 'nbf': {
          const issuedUntil = parseWholeNumber(value)
          if (client !== undefined && issuedUntil !== undefined) addClient(client, issuedUntil, at)
          else isWhole = false
          client = undefined
          break
        }
        case 'hb': {
          const milliseconds = parseWholeNumber(value) ?? 0
          if (milliseconds >= MIN_RETENTION && milliseconds <= MAX_RETENTION) retention = milliseconds
          // A service of an earlier version writes 1.
          else if (value !== '1') isWhole = false
          break
        }
        case 'n':
          break
        default:
          isWhole = false
      }
    }
    return isWhole && client === undefined
  }

  return {
    add(entries) {
      for (const entry of entries) if (!addEntry(entry)) malformed += 1
    },

    startAt(first) {
      knownSince = entryTime(first)
      updateCover()
    },

    setEpoch(seconds) {
      if (seconds === epoch) return
      epoch = seconds
      updateCover()
    },

    isRevoked({ sub, sid, iat }) {
      if (sid !== undefined && sessions.has(sid)) return true
      const client = clients.get(sub)
      return client !== undefined && iat <= client.issuedUntil
    },

    covers: ({ iat }) => iat >= coveredSince,

    forget(redisNow) {
      const before = redisNow - retention
      if (!(before > knownSince)) return
      knownSince = before
      updateCover()
      for (const [sid, at] of sessions) {
        if (at * 1000 >= before) break
        sessions.delete(sid)
      }
      for (const [sub, { at }] of clients) {
        if (at * 1000 >= before) break
        clients.delete(sub)
      }
    },

    get size() {
      return sessions.size + clients.size
    },

    get malformed() {
      return malformed
    },
  }
}
