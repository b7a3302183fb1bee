import { type Static, Type } from 'typebox'
import { AccessToken, RefreshToken, Scope, SessionId } from './fields.js'

/** RFC 6749 §5.1, with the session and the refresh token's own lifetime. */
export const TokenAnswer = Type.Object(
  {
    access_token: AccessToken,
    token_type: Type.Literal('Bearer'),
    expires_in: Type.Integer({ description: 'Seconds until the access token expires', examples: [900] }),
    refresh_token: RefreshToken,
    refresh_expires_in: Type.Integer({
      description: 'Seconds until the refresh token expires unused',
      examples: [604800],
    }),
    scope: Scope,
    sid: SessionId,
  },
  { description: 'The two tokens of a session' },
)
export type TokenAnswer = Static<typeof TokenAnswer>
