import { type AccessTokenClaims, CLOCK_LEEWAY, isId, MAX_LIFETIME } from '../token/claims.js'
import { parseWholeNumber } from './redis-keys.js'

/** An entry of the feed: `MILLISECONDS-SEQUENCE` by Redis's clock, and its fields and values in turn. */
export type FeedEntry = readonly [id: string, fields: readonly string[]]

/** When an entry was written, in Unix milliseconds of Redis's clock. */
export function writtenAt([id]: FeedEntry): number {
  return Number(id.slice(0, id.indexOf('-')))
}

/** What the feed has said, and how far back. Times are Unix seconds on Redis's clock where nothing else is said. */
export interface RevocationList {
  add(entries: readonly FeedEntry[]): void
  /** The feed is being read from its beginning, and this is its first entry: what was before it was never heard. */
  beginAt(first: FeedEntry): void
  /** What `lk1:epoch` says; undefined where there is none. */
  setEpoch(epoch: number | undefined): void
  isRevoked(claims: AccessTokenClaims): boolean
  /** Whether every revocation that could be this token's has been heard. If not, only Redis knows. */
  covers(claims: AccessTokenClaims): boolean
  /** Lets go of what can be of no token that is still good. */
  forget(redisNow: number): void
  readonly size: number
  /** How many entries had something in them that is none of ours. */
  readonly malformed: number
}

/**
 * By so much the issuer's clock may be ahead of Redis's, and a token older than it says: a verifier refuses a token from
 * further ahead than the leeway of its own clock, and does without its list when Redis's is further from its own.
 */
const CLOCKS_APART = 2 * CLOCK_LEEWAY
/** What the writers keep an entry for past the life of a token, if no heartbeat has said how long. */
const LONGEST_KEPT = (MAX_LIFETIME + 60) * 1000
/** No service keeps entries for less: a token lives for a second at least. */
const SHORTEST_KEPT = 1000
const ENTRY_ID = /^\d{1,15}-\d{1,20}$/

/**
 * Revocations, in memory.
 *
 * Once told, a revocation stays, whatever becomes of the feed: emptied, rolled back, or failed over to a replica that had
 * not got it. It is forgotten when it is older than the writers keep theirs (`hb`), which is longer than a token lives;
 * and should a token live longer all the same, because the service's ACCESS_TTL was longer yesterday, it is not covered
 * any more, and looked up. So memory holds the revocations of one token's life, and forgetting never opens a door.
 */
export function createRevocationList(): RevocationList {
  // In order of time, as Maps keep what is set: forgetting begins at the front. Seconds, for small integers cost nothing.
  const sessions = new Map<string, number>()
  const clients = new Map<string, { notBefore: number; at: number }>()
  let kept = LONGEST_KEPT
  let malformed = 0
  let heardSince = Number.POSITIVE_INFINITY
  let epoch: number | undefined
  let coveredSince = Number.POSITIVE_INFINITY

  function updateCover(): void {
    // The epoch is rounded down: in its own second, a token may be from before it.
    coveredSince =
      epoch === undefined ? Number.POSITIVE_INFINITY : Math.max(heardSince / 1000, epoch + 1) + CLOCKS_APART
  }

  function endSession(sid: string, at: number): void {
    const before = sessions.get(sid)
    if (before !== undefined) {
      // Heard before, when the feed was read the last time; unless it was said again, later.
      if (before >= at) return
      sessions.delete(sid)
    }
    sessions.set(sid, at)
  }

  function endClientTokens(sub: string, notBefore: number, at: number): void {
    const before = clients.get(sub)
    clients.delete(sub)
    clients.set(sub, {
      notBefore: Math.max(notBefore, before?.notBefore ?? 0),
      at: Math.max(at, before?.at ?? 0),
    })
  }

  /**
   * Takes in what an entry says, field by field, and answers whether all of it could be read. The rest is left out: read as
   * a number, a word would be NaN, and a comparison with NaN would bring revoked tokens back.
   */
  function take(entry: FeedEntry): boolean {
    const [id, fields] = entry
    if (!ENTRY_ID.test(id)) return false
    const at = Math.ceil(writtenAt(entry) / 1000)
    let isWhole = fields.length > 0 && fields.length % 2 === 0
    /** The client of an `nbf` that is still to come. */
    let client: string | undefined
    for (let i = 0; i + 1 < fields.length; i += 2) {
      const value = fields[i + 1] as string
      switch (fields[i]) {
        case 'sid':
          if (isId(value)) endSession(value, at)
          else isWhole = false
          break
        case 'sub':
          if (client !== undefined || !isId(value)) isWhole = false
          client = isId(value) ? value : undefined
          break
        case 'nbf': {
          const notBefore = parseWholeNumber(value)
          if (client !== undefined && notBefore !== undefined) endClientTokens(client, notBefore, at)
          else isWhole = false
          client = undefined
          break
        }
        case 'hb': {
          const milliseconds = parseWholeNumber(value) ?? 0
          if (milliseconds >= SHORTEST_KEPT && milliseconds <= LONGEST_KEPT) kept = milliseconds
          // A service of an earlier version says just 1.
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
      for (const entry of entries) if (!take(entry)) malformed += 1
    },

    beginAt(first) {
      heardSince = writtenAt(first)
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
      return client !== undefined && iat <= client.notBefore
    },

    covers: ({ iat }) => iat >= coveredSince,

    forget(redisNow) {
      const before = redisNow - kept
      if (!(before > heardSince)) return
      heardSince = before
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
