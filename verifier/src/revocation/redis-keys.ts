/**
 * The names of the keys in Redis, for the service and for verifiers.
 *
 * All keys of one user have the user's id as their hash tag (`{SUB}`), so that a script uses one slot of a cluster.
 */

/** A living session (hash). The session has been revoked or has expired if the key does not exist. */
export const sessionKey = (sub: string, sid: string): string => `lk1:{${sub}}:s:${sid}`

/** The sessions of a user (sorted set). Members are session ids; scores are expiry times in Unix milliseconds. */
export const sessionIndexKey = (sub: string): string => `lk1:{${sub}}:i`

/**
 * A time in Unix seconds (string). The tokens that a client got for itself and that were issued at or before this time have ended.
 * These tokens have no session. Without this key, none of them has ended.
 */
export const clientRevocationKey = (clientId: string): string => `lk1:{${clientId}}:n`

/** Something that may be used once, and was used (string). The id is a hash. */
export const usedOnceKey = (id: string): string => `lk1:{${id}}:o`

/**
 * The feed of revocations (stream). It reaches back for the longest access-token lifetime in use. An entry has one of these forms:
 * - `sid`, once for each session that ended
 * - `sub` and `nbf`: a client id, and the time up to which its own tokens have ended (Unix seconds)
 * - `hb` and `n`: a heartbeat. `hb` is the retention of entries in milliseconds. The random `n` makes each heartbeat unique
 */
export const feedKey = 'lk1:feed'

/**
 * The retentions that instances need for the feed (sorted set). Members are milliseconds; scores are the Unix milliseconds until
 * which a need counts. The largest need wins. In a cluster, this key is in the slot of the feed.
 */
export const feedRetentionKey = `lk1:retention:{${feedKey}}`

/**
 * Parses a whole number that the service wrote, for example a time. Returns undefined for any other value. `Number` would
 * read an empty string as 0, which means that nothing has ended, and a word as NaN, which `Math.max` passes on.
 */
export function parseWholeNumber(value: unknown): number | undefined {
  return typeof value === 'string' && /^\d{1,15}$/.test(value) ? Number(value) : undefined
}

/**
 * The epoch: the time at which this Redis began to hold sessions (string, Unix seconds on Redis's clock, rounded down).
 * Redis has lost its data since a token with an earlier `iat` was issued. For a token of the same second, only a look-up can
 * tell.
 */
export const epochKey = 'lk1:epoch'

/**
 * The id of this session store (string). The database of the service registers the same id. If the ids differ, or the key is
 * missing, no service with that database uses the sessions in this Redis. Like the epoch, it expires after ten years, and each
 * start of a service begins these years again.
 */
export const storeIdKey = 'lk1:store'
