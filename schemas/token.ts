import { commonErrorResponses } from './error.js'
import {
  AccessToken,
  example,
  Fields,
  PostedCredentials,
  RefreshToken,
  Resource,
  Scope,
  SessionId,
  Token,
} from './fields.js'
import { sessionTokens } from './token-response.js'
import { type Static, Type } from './typebox.js'

/** RFC 8693 §2.1 */
export const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
/** RFC 8693 §3 */
export const ACCESS_TOKEN_TYPE = 'urn:ietf:params:oauth:token-type:access_token'

/** RFC 6749 §5.1. A client's own token comes without a refresh token and without a session. */
export const ClientTokenResponse = Type.Object(
  {
    access_token: AccessToken,
    issued_token_type: Type.Optional(
      Type.Literal(ACCESS_TOKEN_TYPE, { description: 'Only after a token exchange (RFC 8693)' }),
    ),
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
      sessionTokens,
      {
        access_token: example.accessToken,
        issued_token_type: ACCESS_TOKEN_TYPE,
        token_type: 'Bearer',
        expires_in: 540,
        scope: 'todo:read',
      },
    ],
  },
)
export type ClientTokenResponse = Static<typeof ClientTokenResponse>

/** `POST /token` (RFC 6749 §4.4, §6, RFC 8693 §2) */
export const TokenRequest = {
  summary: 'Get a token as a client',
  description:
    '`client_credentials`: the client’s own token. `refresh_token`: the successor of a refresh token, whose session was ' +
    `begun through this client or by a person directly. \`${TOKEN_EXCHANGE}\`: a token for one service in the place of a ` +
    'person’s token, for clients with exchange audiences (docs/delegation.md). The scopes `introspect`, `admin` and ' +
    '`recovery` must be requested by name, with `audience` = `ISSUER`. Such a token is accepted at `/introspect`, `/admin` or ' +
    '`/recovery` if a private key signs tokens.',
  tags: ['services'],
  security: [{ basic: [] }, {}],
  body: Fields(
    {
      grant_type: Type.String({
        minLength: 1,
        maxLength: 100,
        description: `\`client_credentials\`, \`refresh_token\` or \`${TOKEN_EXCHANGE}\``,
      }),
      scope: Type.Optional(
        Type.String({
          ...Scope,
          description:
            'Default: all scopes of the client except `introspect`, `admin` and `recovery`; at a refresh all scopes of ' +
            'the session; at an exchange all scopes of the subject token except `admin`',
        }),
      ),
      audience: Type.Optional(
        Type.String({
          minLength: 1,
          maxLength: 256,
          description:
            'One of `AUDIENCE`, or `ISSUER`. A client with its own audiences may use only these. An exchange needs one of ' +
            'the client’s exchange audiences',
        }),
      ),
      resource: Type.Optional(Resource),
      refresh_token: Type.Optional(Token),
      subject_token: Type.Optional(
        Type.String({
          pattern: '\\S',
          description: 'At an exchange: the person’s access token',
          'x-rule': 'must not be blank',
        }),
      ),
      subject_token_type: Type.Optional(Type.String({ description: `At an exchange: \`${ACCESS_TOKEN_TYPE}\`` })),
      requested_token_type: Type.Optional(
        Type.String({ description: `At an exchange, if sent: \`${ACCESS_TOKEN_TYPE}\`` }),
      ),
      ...PostedCredentials,
    },
    {
      examples: [
        { grant_type: 'client_credentials', scope: 'introspect' },
        { grant_type: 'refresh_token', refresh_token: example.refreshToken },
        {
          grant_type: TOKEN_EXCHANGE,
          subject_token: example.accessToken,
          subject_token_type: ACCESS_TOKEN_TYPE,
          audience: 'todo',
          scope: 'todo:read',
        },
      ],
    },
  ),
  response: { 200: ClientTokenResponse, ...commonErrorResponses(401) },
}
