/**
 * The names of what the service keeps in Redis, for verifiers and for the service alike.
 *
 * Everything of one user carries the user's id as its hash tag (`{SUB}`), so that a script touches one slot.
 */

/** A living session (hash). `EXISTS` = 1 is the whole revocation look-up. */
export const sessionKey = (sub: string, sid: string): string => `lk1:{${sub}}:s:${sid}`

/** The user's sessions (sorted set: session id by expiry, Unix milliseconds). */
export const sessionIndexKey = (sub: string): string => `lk1:{${sub}}:i`

/**
 * Up to which time of issue, in Unix seconds, the tokens that a client got for itself have ended (string). They have no
 * session; without this key none has ended.
 */
export const clientRevocationKey = (clientId: string): string => `lk1:{${clientId}}:n`

/**
 * Revocations of the last access-token lifetime, of the longest that is in use (stream). An entry is one of
 * `sid` (repeated once for each session that ended), `sub` with `nbf`, or `hb`: a writer's heartbeat, which says for how
 * many milliseconds entries are kept, with a random word `n`, so that no two are alike.
 */
export const feedKey = 'lk1:feed'

/**
/**
 * For how many milliseconds instances need the feed to keep its entries (sorted set: by until when, Unix milliseconds). The most
 * of them counts. In a cluster it is beside the feed.
 */
export const feedRetentionKey = `lk1:retention:{${feedKey}}`

/**
 * A number as the service writes it here, for example a time. Undefined for any other value: `Number` would read an empty
 * string as 0, which says that nothing has ended, and a word as NaN, which survives `Math.max`.
 */
export function parseWholeNumber(value: unknown): number | undefined {
  return typeof value === 'string' && /^\d{1,15}$/.test(value) ? Number(value) : undefined
}

/**
 * When this Redis began to hold sessions (string, Unix seconds on Redis's clock, rounded down). A token issued before
 * it was issued against a Redis that has since been emptied; in the same second, only a look-up can tell.
 */
export const epochKey = 'lk1:epoch'

/**
 * The id of this store of sessions (string). The service's database registers the same id. Without this key, or with another
 * id, no service of that database trusts what is in this Redis. Like the epoch, it has no TTL.
 */
export const storeIdKey = 'lk1:store'
