import { randomBytes } from 'node:crypto'
import { MAX_LIFETIME } from '@latchkey/verifier/access-token'
import type { RefreshTokenPayload } from './refresh-token.js'

/** The id of a new session: 128 random bits. */
export const newSid = (): string => randomBytes(16).toString('base64url')

/** One sign-in on one device. Times are Unix milliseconds, on the store's clock. */
export interface Session {
  sid: string
  /** The user's id. */
  sub: string
  username: string
  clientId: string
  scope: string
  audience: string
  roles: string[]
  /** Of the refresh token that is current. */
  generation: number
  deviceName: string | null
  ip: string
  userAgent: string | null
  createdAt: number
  /** The last sign-in or rotation. */
  lastSeenAt: number
  /** When it ends unless it is refreshed before, or for good. */
  expiresAt: number
}

/** What the tokens of a session say of it. */
export type IssuableSession = Omit<Session, 'username' | 'deviceName' | 'ip' | 'userAgent' | 'createdAt'>

export type NewSession = Omit<Session, 'generation' | 'createdAt' | 'lastSeenAt' | 'expiresAt'>

export interface StoreOptions {
  /** All in milliseconds. */
  refreshTtl: number
  /** 0: no limit. */
  sessionMaxAge: number
  refreshGrace: number
  sessionsPerUser: number
  /** How long the access tokens live that this process issues. 0: it issues none. */
  accessTtl: number
}

/**
 * How long any access token of a client may live, in milliseconds, whatever `ACCESS_TTL` was when it was issued, and what
 * clocks may differ by. So long is kept that a client's tokens have ended: that ends all of them that were issued before, and
 * one of these may outlive the one that was presented.
 */
export const LONGEST_LIFE = (MAX_LIFETIME + 60) * 1000

export type Rotation =
  /** The generation was the current one and has been moved on by one. */
  | { outcome: 'rotated'; session: IssuableSession }
  /** The generation was moved on within the grace, `age` milliseconds ago: the same successor again. Nothing has changed. */
  | { outcome: 'replayed'; session: IssuableSession; age: number }
  /**
   * The generation was left behind: it has been stolen, or kept. The session lives still: the caller ends it. Where its
   * successor was never used, an answer may have been lost, and the retry have come after the grace.
   */
  | { outcome: 'reused'; successor: 'unused' | 'used' }
  /** There is no such session, or it has ended. */
  | { outcome: 'unknown' }

/**
 * Where sessions live. An allow-list: what is not there has ended, so a store that was emptied signs people out,
 * and never back in. Every change is one atomic step in the store, on the store's clock.
 *
 * Methods throw `Unavailable` when the store does not answer; then the change may or may not have been made.
 */
export interface SessionStore {
  /**
   * Begins a session. Past the user's limit it names those unused longest, for the caller to end: where as many more
   * begin at the same moment, the new one may be among them.
   */
  create(session: NewSession): Promise<{ session: Session; excess: string[] }>
  /**
   * Exactly-once rotation. A session that was begun for another of the service's clients than `clientId` is unknown, and
   * left as it is (RFC 6749 §10.4).
   */
  rotate(grant: RefreshTokenPayload, clientId: string): Promise<Rotation>
  /** The user name of a living session's holder, or undefined where there is none: the whole revocation look-up. */
  findUsername(sub: string, sid: string): Promise<string | undefined>
  /** The living sessions of a user, the latest used first. */
  list(sub: string): Promise<Session[]>
  /**
   * Ends these sessions of the user and answers with those that this call ended. Once it has answered, no introspection
   * that starts, on any replica, finds one of them; nor does one after a failover, where replicas are waited for. The
   * same holds for the sessions that ended before. The feed gets no entry for a session that is not there.
   */
  revoke(sub: string, sids: readonly string[]): Promise<string[]>
  /**
   * Returns once no introspection can find a session of this user that ended before this call, as after {@link
   * SessionStore.revoke}. Throws `Unavailable` when too few replicas confirm. Ends nothing.
   */
  confirmRevoked(sub: string): Promise<void>
  /** Ends every session of the user but `except`, likewise. */
  revokeAll(sub: string, except?: string): Promise<string[]>
  /**
   * Ends the tokens that a client got for itself, issued at or before `notBefore` (Unix seconds): they have no session.
   * Acknowledged as `end` is. Answers whether this call ended any: not where they had ended before.
   */
  revokeClient(clientId: string, notBefore: number): Promise<boolean>
  /** Up to which time of issue, in Unix seconds, the client's own tokens have ended; 0: none has. */
  clientNotBefore(clientId: string): Promise<number>
  /** How many sessions live in the whole store: about, and cheaply, for a dial. */
  count(): Promise<number>
  /** Milliseconds since the last entry of the feed, on the store's clock; undefined where there is no feed. */
  feedAge(): Promise<number | undefined>
  ping(): Promise<void>
  close(): Promise<void>
}
