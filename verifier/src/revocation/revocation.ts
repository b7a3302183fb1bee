import type { AccessTokenClaims } from '../token/claims.js'

/** A way to find out whether a token with valid claims has been revoked. */
export interface Revocation {
  /** Rejects with an error that says why this way cannot answer. */
  ready(): Promise<void>
  /**
   * Whether the token is live. The result is a promise only if the answer needs I/O.
   *
   * @param claims the checked claims of the token
   * @throws TokenError `unavailable` if nobody can say now. In doubt the answer is never true
   */
  isLive(claims: AccessTokenClaims, token: string): boolean | Promise<boolean>
  /** The number of feed entries that could not be read in full. Undefined if no feed is read. */
  readonly malformedEntries?: number
  close(): Promise<void>
}

/** Checks nothing: a token is live until it expires. */
export const noRevocation: Revocation = {
  ready: async () => {},
  isLive: () => true,
  close: async () => {},
}
