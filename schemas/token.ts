import { type Static, Type } from 'typebox'
import { refusals } from './error.js'
import { AccessToken, example, Fields, PostedCredentials, RefreshToken, Scope, SessionId, Token } from './fields.js'

/** RFC 6749 §5.1. A token that a client gets for itself has no refresh token and no session. */
export const ClientTokenResponse = Type.Object(
  {
    access_token: AccessToken,
    token_type: Type.Literal('Bearer'),
    expires_in: Type.Integer({ description: 'Seconds until the access token expires' }),
    refresh_token: Type.Optional(RefreshToken),
    refresh_expires_in: Type.Optional(Type.Integer({ description: 'Seconds until the refresh token expires unused' })),
    scope: Scope,
    sid: Type.Optional(SessionId),
  },
  {
    description: 'The token, or the two tokens of a session',
    examples: [
      { access_token: example.accessToken, token_type: 'Bearer', expires_in: 900, scope: 'introspect' },
      {
        access_token: example.accessToken,
        token_type: 'Bearer',
        expires_in: 900,
        refresh_token: example.refreshToken,
        refresh_expires_in: 604_800,
        scope: example.scope,
        sid: example.session,
      },
    ],
  },
)
export type ClientTokenResponse = Static<typeof ClientTokenResponse>

/** `POST /token` (RFC 6749 §4.4, §6) */
export const TokenRequest = {
  summary: 'Get a token as a client',
  description:
    '`client_credentials`: a token of the client’s own. `refresh_token`: the successor of a refresh token of a session ' +
    'that was begun by way of this client, or by a person directly. The scopes `introspect` and `admin` must be asked for, with ' +
    '`audience` = `ISSUER`; the token then opens `/introspect` or `/admin` where a private key signs tokens.',
  tags: ['services'],
  security: [{ basic: [] }, {}],
  body: Fields(
    {
      grant_type: Type.String({ minLength: 1, maxLength: 100, description: '`client_credentials` or `refresh_token`' }),
      scope: Type.Optional(
        Type.String({ ...Scope, description: 'If left out, all that the client has but `introspect` and `admin`' }),
      ),
      audience: Type.Optional(
        Type.String({
          minLength: 1,
          maxLength: 256,
          description: 'One of `AUDIENCE`, or `ISSUER`; of the client’s, if it has its own',
        }),
      ),
      refresh_token: Type.Optional(Token),
      ...PostedCredentials,
    },
    {
      examples: [
        { grant_type: 'client_credentials', scope: 'introspect' },
        { grant_type: 'refresh_token', refresh_token: example.refreshToken },
      ],
    },
  ),
  response: { 200: ClientTokenResponse, ...refusals(401) },
}
