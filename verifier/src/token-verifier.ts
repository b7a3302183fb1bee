import type { Clock } from './clock.js'
import type { Revocation } from './revocation/revocation.js'
import { type AccessTokenClaims, checkTime } from './token/claims.js'
import type { TokenCheck } from './token/token-check.js'
import { TokenError } from './token/token-error.js'

export interface Verifier {
  /** Resolves when tokens can be verified. Rejects with an error that says why they cannot. */
  ready(): Promise<void>
  /**
   * Returns the claims of an access token that is valid now.
   *
   * @throws TokenError whose `code` says why the token was refused. `unavailable`: nobody can say now
   */
  verify(token: string): Promise<AccessTokenClaims>
  /** The number of feed entries that could not be read in full, since the start. 0 in every mode but `follow`. */
  readonly malformedFeedEntries: number
  /** Closes the connections. */
  close(): Promise<void>
}

/** A verifier that first checks a token, and then its revocation. */
export function createTokenVerifier(tokens: TokenCheck, revocation: Revocation, clock: Clock): Verifier {
  return {
    async ready() {
      await Promise.all([tokens.ready(), revocation.ready()])
    },

    async verify(token) {
      const checked = tokens.check(token)
      // Await only a promise: each await costs a turn of the microtask queue.
      const claims = checked instanceof Promise ? await checked : checked
      const isLive = revocation.isLive(claims, token)
      if (!(typeof isLive === 'boolean' ? isLive : await isLive)) {
        throw new TokenError('revoked', 'the token, or its session, has been revoked')
      }
      // The process may have been stopped while it waited, until after the end of the token.
      if (typeof isLive !== 'boolean') checkTime(claims, clock.wall())
      return claims
    },

    get malformedFeedEntries() {
      return revocation.malformedEntries ?? 0
    },

    close: () => revocation.close(),
  }
}
