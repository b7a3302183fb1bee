import { AccessToken, example, RefreshToken, Scope, SessionId } from './fields.js'
import { type Static, Type } from './typebox.js'

/** An example: the tokens of a session. */
export const sessionTokens = {
  access_token: example.accessToken,
  token_type: 'Bearer',
  expires_in: 900,
  refresh_token: example.refreshToken,
  refresh_expires_in: 604_800,
  scope: example.scope,
  sid: example.session,
}

/** RFC 6749 §5.1, with the session id and the lifetime of the refresh token. */
export const TokenResponse = Type.Object(
  {
    access_token: AccessToken,
    token_type: Type.Literal('Bearer'),
    expires_in: Type.Integer({ description: 'Seconds until the access token expires' }),
    refresh_token: Type.Optional(RefreshToken),
    refresh_expires_in: Type.Integer({ description: 'Seconds until an unused refresh token expires' }),
    scope: Scope,
    sid: SessionId,
  },
  {
    description: 'The two tokens of a session. With `refresh_in=cookie` the refresh token is in the cookie instead',
    examples: [sessionTokens],
  },
)
export type TokenResponse = Static<typeof TokenResponse>
