import { commonErrorResponses } from './error.js'
import { Act, example, Fields, PostedCredentials, Scope, SessionId, Time, Token } from './fields.js'
import { Type } from './typebox.js'

/** RFC 7662 §2.2. An inactive token is exactly `{"active":false}`. */
const IntrospectResponse = Type.Object(
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
    roles: Type.Optional(Type.Array(Type.String(), { description: 'Empty if the token has none' })),
    auth_time: Type.Optional(Time),
    amr: Type.Optional(Type.Array(Type.String(), { description: 'RFC 8176: `pwd`, `otp`, `hwk`, `swk`, `mfa`' })),
    acr: Type.Optional(Type.String({ description: '`1`: one factor. `2`: two factors' })),
    act: Type.Optional(Act),
  },
  {
    description: 'The claims of an active access token, or `{"active":false}`',
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
        roles: [],
        auth_time: example.time,
        amr: ['pwd'],
        acr: '1',
      },
      { active: false },
    ],
  },
)

/** `POST /introspect` (RFC 7662) */
const Introspect = {
  summary: 'Ask whether an access token is active',
  description:
    'For clients with the scope `introspect`, which authenticate with HTTP Basic or with credentials in the body. When a ' +
    'private key signs tokens, a client may also send its own token with this scope and `aud` = `ISSUER`.',
  tags: ['services'],
  security: [{}, { clientToken: [] }, { basic: [] }],
  body: Fields(
    {
      token: Token,
      token_type_hint: Type.Optional(Type.String({ description: 'Ignored' })),
      ...PostedCredentials,
    },
    { examples: [{ token: example.accessToken }] },
  ),
  response: { 200: IntrospectResponse, ...commonErrorResponses(401, 403) },
}

/** {@link Introspect} with the account claims that the tokens of a service carry. */
export function introspectSchema(accountClaims: readonly string[]): typeof Introspect {
  if (accountClaims.length === 0) return Introspect
  const claim = Type.Optional(Type.Unsafe<string | number | boolean>({ description: 'Claim of the account' }))
  const { properties, ...options } = IntrospectResponse
  const claims = Object.fromEntries(accountClaims.map((name) => [name, claim]))
  const response = Type.Object({ ...properties, ...claims }, options) as unknown as typeof IntrospectResponse
  return { ...Introspect, response: { ...Introspect.response, 200: response } }
}
