import type { TokenResponse } from '../../schemas/token-response.js'
import type { RefreshTokens } from '../sessions/refresh-token.js'
import type { IssuableSession } from '../sessions/session.js'
import type { AccessTokens } from '../tokens/access-tokens.js'
import type { AccountClaims } from '../tokens/account-claim-name.js'

/**
 * The two tokens of a session, as sign-in and refresh return them (RFC 6749 §5.1).
 *
 * @param age milliseconds since the sign-in or the rotation; more than 0 when a refresh is replayed
 */
export function tokenResponse(
  session: IssuableSession & { accountClaims?: AccountClaims | undefined },
  { tokens, refreshTokens }: { tokens: AccessTokens; refreshTokens: RefreshTokens },
  age = 0,
): TokenResponse {
  const { token, expiresIn } = tokens.issue(session)
  return {
    access_token: token,
    token_type: 'Bearer',
    expires_in: expiresIn,
    refresh_token: refreshTokens.mint(session),
    refresh_expires_in: Math.max(0, Math.floor((session.expiresAt - session.lastSeenAt - age) / 1000)),
    scope: session.scope,
    sid: session.sid,
  }
}
