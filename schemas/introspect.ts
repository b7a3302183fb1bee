import { type Static, Type } from 'typebox'
import { refusals } from './error.js'
import { example, Fields, PostedCredentials, Scope, SessionId, Time, Token } from './fields.js'

/** RFC 7662 §2.2. An inactive token is exactly `{"active":false}`. */
export const IntrospectAnswer = Type.Object(
  {
    active: Type.Boolean(),
    sub: Type.Optional(Type.String()),
    username: Type.Optional(Type.String()),
    client_id: Type.Optional(Type.String()),
    scope: Type.Optional(Scope),
    aud: Type.Optional(Type.String()),
    iss: Type.Optional(Type.String()),
    exp: Type.Optional(Time),
    iat: Type.Optional(Time),
    jti: Type.Optional(Type.String()),
    sid: Type.Optional(SessionId),
    token_type: Type.Optional(Type.Literal('Bearer')),
    roles: Type.Optional(Type.Array(Type.String())),
  },
  {
    description: 'The claims of a living access token, or `{"active":false}`',
    examples: [
      {
        active: true,
        sub: example.user,
        username: example.username,
        client_id: 'latchkey',
        scope: example.scope,
        aud: 'http://localhost:3000',
        iss: 'http://localhost:3000',
        exp: example.time + 900,
        iat: example.time,
        jti: 'h2Jx0V5mT8a1qZcR4yWb7g',
        sid: example.session,
        token_type: 'Bearer',
      },
      { active: false },
    ],
  },
)
export type IntrospectAnswer = Static<typeof IntrospectAnswer>

/** `POST /introspect` (RFC 7662) */
export const Introspect = {
  summary: 'Ask whether an access token is live',
  description:
    'For clients with the scope `introspect`, by HTTP Basic or with their credentials in the body. Where a private key signs ' +
    'tokens, also by a token of the client with that scope and `aud` = `ISSUER`.',
  tags: ['services'],
  security: [{ basic: [] }, {}],
  body: Fields(
    {
      token: Token,
      token_type_hint: Type.Optional(Type.String({ description: 'Ignored' })),
      ...PostedCredentials,
    },
    { examples: [{ token: example.accessToken }] },
  ),
  response: { 200: IntrospectAnswer, ...refusals(401, 403) },
}
