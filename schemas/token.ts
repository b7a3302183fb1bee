import { type Static, Type } from 'typebox'
import { commonErrorResponses } from './error.js'
import { AccessToken, example, Fields, PostedCredentials, RefreshToken, Scope, SessionId, Token } from './fields.js'

/** RFC 6749 §5.1. A client's own token comes without a refresh token and without a session. */
export const ClientTokenResponse = Type.Object(
  {
    access_token: AccessToken,
    token_type: Type.Literal('Bearer'),
    expires_in: Type.Integer({ description: 'Seconds until the access token expires' }),
    refresh_token: Type.Optional(RefreshToken),
    refresh_expires_in: Type.Optional(Type.Integer({ description: 'Seconds until an unused refresh token expires' })),
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
    '`client_credentials`: the client’s own token. `refresh_token`: the successor of a refresh token, whose session was ' +
    'begun through this client or by a person directly. The scopes `introspect`, `admin` and `recovery` must be requested by name, with ' +
    '`audience` = `ISSUER`. Such a token is accepted at `/introspect`, `/admin` or `/recovery` if a private key signs tokens.',
  tags: ['services'],
  security: [{ basic: [] }, {}],
  body: Fields(
    {
      grant_type: Type.String({ minLength: 1, maxLength: 100, description: '`client_credentials` or `refresh_token`' }),
      scope: Type.Optional(
        Type.String({
          ...Scope,
          description: 'Default: all scopes of the client except `introspect`, `admin` and `recovery`',
        }),
      ),
      audience: Type.Optional(
        Type.String({
          minLength: 1,
          maxLength: 256,
          description: 'One of `AUDIENCE`, or `ISSUER`. A client with its own audiences may use only these',
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
  response: { 200: ClientTokenResponse, ...commonErrorResponses(401) },
}
