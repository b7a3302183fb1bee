import { randomBytes } from 'node:crypto'
import { MAX_LIFETIME } from '@latchkey/verifier/access-token'
import type { FeedPage, FeedStart } from './feed.js'
import type { RefreshTokenPayload } from './refresh-token.js'

/** The id of a new session: 128 random bits in base64url. */
export const newSid = (): string => randomBytes(16).toString('base64url')

/** One sign-in on one device. Times are Unix milliseconds on the clock of the store. */
export interface Session {
  sid: string
  /** The id of the user. */
  sub: string
  username: string
  clientId: string
  scope: string
  audience: string
  roles: string[]
  /** The generation of the current refresh token. */
  generation: number
  deviceName: string | null
  ip: string
  userAgent: string | null
  createdAt: number
  /** The time of the last authentication: the sign-in, or a later step-up. */
  authenticatedAt: number
  /** The methods of that authentication (RFC 8176). */
  amr: readonly string[]
  /** The time of the last sign-in or rotation. */
  lastSeenAt: number
  /** The time at which the session expires. A refresh moves it, up to the maximum age of a session. */
  expiresAt: number
}

/** The methods of a sign-in with the password alone. A store may leave them out, so a session without methods has these. */
export const PASSWORD_ONLY: readonly string[] = ['pwd']

/** The part of a session that its tokens carry. */
export type IssuableSession = Omit<Session, 'username' | 'deviceName' | 'ip' | 'userAgent' | 'createdAt'>

export type NewSession = Omit<Session, 'generation' | 'createdAt' | 'authenticatedAt' | 'lastSeenAt' | 'expiresAt'>

/** All times are milliseconds. */
export interface StoreOptions {
  refreshTtl: number
  /** 0 means no limit. */
  sessionMaxAge: number
  refreshGrace: number
  sessionsPerUser: number
  /** The lifetime of the access tokens that this process issues. 0 means that it issues none. */
  accessTtl: number
}

/**
 * Milliseconds for which a store keeps the revocation of a client. This is the maximum lifetime of an access token, whatever
 * `ACCESS_TTL` was, and 60 s for clocks that differ. A revocation covers every token issued before it, and one of these may
 * expire later than the token that the caller presented.
 */
export const CLIENT_REVOCATION_RETENTION = (MAX_LIFETIME + 60) * 1000

/** Milliseconds for which the feed keeps an entry longer than the last token that the entry ends: clocks differ. */
export const FEED_SLACK = 60_000

/**
 * Milliseconds for which a store keeps the record of a use after the deadline of the use, because its clock may step back.
 */
export const USE_RETENTION = 60_000

/** Something that may be used once before its deadline. Unix milliseconds. */
export interface SingleUse {
  /** A hash, because callers choose what it stands for. */
  id: string
  /** It cannot have been used before this time. */
  notBefore: number
  deadline: number
}

export type Rotation =
  /** The generation was current. The store has increased it by one. */
  | { outcome: 'rotated'; session: IssuableSession }
  /**
   * The generation was replaced `age` milliseconds ago, within the grace period. The session is as it was, and the caller
   * returns the same successor again.
   */
  | { outcome: 'replayed'; session: IssuableSession; age: number }
  /**
   * The generation is old: a thief or a confused client has the token. The session still lives, and the caller must revoke it.
   * If the successor was never used, a response may have been lost and the retry may have come after the grace period.
   */
  | { outcome: 'reused'; successor: 'unused' | 'used' }
  /** The session does not exist, or it has ended. */
  | { outcome: 'unknown' }

/**
 * The sessions that live. A session that is not in the store has ended: a store that loses its data signs users out, and
 * never signs them in again. Every change is one atomic step in the store, on the clock of the store.
 *
 * Methods throw `Unavailable` if the store does not answer. Then the change may or may not have happened.
 */
export interface SessionStore {
  /**
   * Creates a session. If the user then has more than `sessionsPerUser`, `excess` names the least recently used sessions, and
   * the caller must revoke them. If several sign-ins run at the same moment, the new session may be one of them.
   */
  create(session: NewSession): Promise<{ session: Session; excess: string[] }>
  /**
   * Rotates the refresh token exactly once. A session of a client other than `clientId` is `unknown` and does not change
   * (RFC 6749 §10.4). Every client may rotate a first-party session.
   */
  rotate(presented: RefreshTokenPayload, clientId: string): Promise<Rotation>
  /**
   * The person authenticated again in this session. The session takes the time and the methods, and its refresh token rotates
   * whatever its generation was. Returns the session, or undefined if it has ended.
   */
  reauthenticate(sub: string, sid: string, amr: readonly string[]): Promise<Session | undefined>
  /** The username of a living session, or undefined if the session has ended. The check for revocation is this one call. */
  findUsername(sub: string, sid: string): Promise<string | undefined>
  /** The living sessions of a user. The most recently used session is first. */
  list(sub: string): Promise<Session[]>
  /**
   * Ends these sessions of the user, and returns the ids of the sessions that this call ended.
   *
   * After the promise resolves, no introspection that starts on any replica finds one of these sessions. If the store waits
   * for replicas, the same holds after a failover. The promise covers sessions that ended earlier too. A session that is not
   * in the store is not published to the feed.
   */
  revoke(sub: string, sids: readonly string[]): Promise<string[]>
  /**
   * Returns once no introspection can find a session of this user that ended before this call, as after {@link
   * SessionStore.revoke}. Throws `Unavailable` when too few replicas confirm. Ends nothing.
   */
  confirmRevoked(sub: string): Promise<void>
  /** Shows another username for the living sessions of a user. No token changes. */
  renameUser(sub: string, username: string): Promise<void>
  /** Ends every session of the user except `except`, with the same guarantees as {@link revoke}. */
  revokeAll(sub: string, except?: string): Promise<string[]>
  /**
   * Ends the tokens that a client got for itself and that were issued at or before `notBefore` (Unix seconds). These tokens
   * have no session. The guarantees are those of {@link revoke}. Returns false if all these tokens had ended before.
   */
  revokeClient(clientId: string, notBefore: number): Promise<boolean>
  /** The client's own tokens that were issued at or before this time have ended. Unix seconds; 0 means none has ended. */
  clientNotBefore(clientId: string): Promise<number>
  /**
   * Records a use. Returns true for one caller on all replicas, and false for every other one, or if the deadline has passed on
   * the clock of the store. Throws `Unavailable` if the store has lost its data since `notBefore`: it may have been used.
   */
  useOnce(use: SingleUse): Promise<boolean>
  /** An estimate of the number of living sessions in the whole store, at a bounded cost. It feeds a metric. */
  count(): Promise<number>
  /**
   * Reads entries of the feed of revocations, oldest first. Every revocation that was acknowledged before this call is in the
   * feed, on every replica. No new entry ever stands before one that was read, so a reader goes on from its last entry. The
   * feed keeps entries for `accessTtl` and {@link FEED_SLACK}, and always the newest one.
   *
   * @param from the page begins with this entry. If it begins with a later one, the feed no longer has this entry, and the
   *   reader may have missed revocations
   * @param limit the most entries of a page
   */
  readFeed(from: FeedStart, limit: number): Promise<FeedPage>
  /** Milliseconds since the last entry of the feed, on the clock of the store. Undefined if the store has no feed. */
  feedAge(): Promise<number | undefined>
  ping(): Promise<void>
  close(): Promise<void>
}
