import type { AccessTokenClaims } from '../token/claims.js'

/** A way to know whether a token that is otherwise good has been revoked. */
export interface Revocation {
  /** Rejects with an error that says why this way cannot answer. */
  ready(): Promise<void>
  /**
   * Whether the token, whose claims have been checked, lives. A promise only where this takes I/O.
   *
   * @throws TokenError `unavailable` where that cannot be found out. In doubt it is never yes.
   */
  isLive(claims: AccessTokenClaims, token: string): boolean | Promise<boolean>
  /** How many entries of a feed could not be read in full; undefined where no feed is read. */
  readonly malformedEntries?: number
  close(): Promise<void>
}

/** Nobody is asked: a token lives until it expires. */
export const noRevocation: Revocation = {
  ready: async () => {},
  isLive: () => true,
  close: async () => {},
}
