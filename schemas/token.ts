import { type Static, Type } from 'typebox'
import { refusals } from './error.js'
import { AccessToken, Fields, RefreshToken, Scope, SessionId, Token } from './fields.js'

/** RFC 6749 §5.1. A token that a client gets for itself has no refresh token and no session. */
export const GrantAnswer = Type.Object(
  {
    access_token: AccessToken,
    token_type: Type.Literal('Bearer'),
    expires_in: Type.Integer({ description: 'Seconds until the access token expires', examples: [900] }),
    refresh_token: Type.Optional(RefreshToken),
    refresh_expires_in: Type.Optional(Type.Integer({ description: 'Seconds until the refresh token expires unused' })),
    scope: Scope,
    sid: Type.Optional(SessionId),
  },
  { description: 'The token, or the two tokens of a session' },
)
export type GrantAnswer = Static<typeof GrantAnswer>

/** `POST /token` (RFC 6749 §4.4, §6) */
export const TokenRequest = {
  summary: 'Get a token as a client',
  description:
    '`client_credentials`: a token of the client’s own. `refresh_token`: the successor of a refresh token of a session ' +
    'that was begun by way of this client, or by a person directly.',
  tags: ['services'],
  security: [{ basic: [] }, {}],
  body: Fields({
    grant_type: Type.String({ minLength: 1, maxLength: 100, examples: ['client_credentials'] }),
    scope: Type.Optional(Scope),
    audience: Type.Optional(Type.String({ minLength: 1, maxLength: 256, description: 'One of AUDIENCE' })),
    refresh_token: Type.Optional(Token),
    client_id: Type.Optional(Type.String({ description: 'Instead of HTTP Basic' })),
    client_secret: Type.Optional(Type.String({ description: 'Instead of HTTP Basic' })),
  }),
  response: { 200: GrantAnswer, ...refusals(401) },
}
