import { type TProperties, type TSchemaOptions, Type } from './typebox.js'

/** A body, a query or a set of path parameters. Unknown members are ignored, as RFC 6749 §3.2 requires. */
export const Fields = <Properties extends TProperties>(properties: Properties, options: TSchemaOptions = {}) =>
  Type.Object(properties, { ...options, additionalProperties: true })

/** All examples show one session of Ada: the next call sends what the previous call answered. */
export const example = {
  username: 'ada',
  password: 'correct horse battery staple',
  user: '3f6c1a52-8d0e-4b7a-9c1f-5e2d7a4b6c80',
  session: '9f8Hn1VnTz2cUWl0q3yJ8A',
  scope: 'todo:read todo:write',
  device: "Ada's phone",
  accessToken: 'eyJhbGciOiJIUzI1NiIsInR5cCI6ImF0K2p3dCJ9.eyJpc3MiOi….Kq3N…',
  refreshToken: 'lkr_P2waUo0OS3qcH14tektsgPX8Hn1Vn…',
  passwordHash: '$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW',
  clientSecret: 'Yq3m0b3Qk8pJt1uZ6hV9xN2cR5wS7dF4gA0eLKBTUoM',
  time: 1795290000,
}

/**
 * At sign-in any text is a user name, because an impossible name is just unknown. `src/users/username.ts` has the rule for
 * new accounts.
 */
export const Username = Type.String({ minLength: 1, maxLength: 256, examples: [example.username] })

/** The limit is longer than any real pass phrase, and so short that hashing costs the same for every password. */
export const Password = Type.String({ minLength: 1, maxLength: 256, examples: [example.password] })

/** A character of a scope (RFC 6749 §3.3), for a pattern. */
export const SCOPE_CHARACTER = '[!#-\\[\\]-~]'

/** RFC 6749 §3.3. May be empty. */
export const Scope = Type.String({
  maxLength: 1000,
  pattern: `^(${SCOPE_CHARACTER}+( ${SCOPE_CHARACTER}+)*)?$`,
  description: 'Space-separated scopes',
  'x-rule':
    'must be scopes of printable ASCII without double quotes and backslashes, with one space between them, at most 1000 characters',
  examples: [example.scope],
})

/** RFC 8707 §2. A form repeats the parameter, and JSON has a list: both name several audiences, and a token has one. */
export const Resource = Type.Union([Type.String({ minLength: 1, maxLength: 256 }), Type.Array(Type.String())], {
  description: 'The same as `audience`, under the name of RFC 8707. A token has one: two get `invalid_target`',
})

/** Where a sign-in wants its refresh token. */
export const RefreshIn = Type.Union([Type.Literal('body'), Type.Literal('cookie')], {
  description:
    '`cookie`: the answer sets `__Host-latchkey-refresh` and leaves the refresh token out of the body, for pages on ' +
    '`CORS_ORIGINS` with `REFRESH_COOKIE=on`',
})

/** The session that a sign-in asks for. */
export const SessionFields = {
  scope: Type.Optional(Scope),
  audience: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 256,
      description: 'One of `AUDIENCE`, or `ISSUER`. Default: the first of `AUDIENCE`',
    }),
  ),
  resource: Type.Optional(Resource),
  refresh_in: Type.Optional(RefreshIn),
  device_name: Type.Optional(
    // No control characters, because lists show the name, and Postgres refuses NUL.
    Type.String({ minLength: 1, maxLength: 100, pattern: '^\\P{Cc}*$', description: '`GET /sessions` shows it' }),
  ),
}

/**
 * An access token or a refresh token. No `maxLength`, because counting the characters took 2 µs, and the body has a limit.
 */
export const Token = Type.String({ pattern: '\\S', 'x-rule': 'must not be blank' })

export const AccessToken = Type.String({ description: 'JWT (RFC 9068)', examples: [example.accessToken] })
export const RefreshToken = Type.String({ description: 'Opaque, and a secret', examples: [example.refreshToken] })

/** A response without a body. */
export const Empty = (description: string) => Type.Unsafe<undefined>({ type: 'null', description })

export const SessionId = Type.String({ description: 'Id of the session', examples: [example.session] })
/** A session id in a path. */
export const SessionIdParam = Type.String({
  minLength: 1,
  maxLength: 64,
  pattern: '^[\\w-]+$',
  examples: [example.session],
})
/** Unix seconds. */
export const Time = Type.Integer({ description: 'Unix time in seconds', examples: [example.time] })

/** A sentence for the description of each endpoint where people change their own account. */
export const OWN_AUDIENCE =
  'The access token must be for `ISSUER` or for the default audience, the first of `AUDIENCE`.'

/** RFC 8693 §4.1 */
export const Act = Type.Object(
  { sub: Type.String() },
  {
    // The actor before it stands inside, as `act` again.
    additionalProperties: true,
    description: 'The client that acts for the person, and inside it, as `act` again, the client that acted before it',
    examples: [{ sub: 'todo', act: { sub: 'gateway' } }],
  },
)

/** `client_secret_post` (RFC 6749 §2.3.1), or an assertion (RFC 7521 §4.2) */
export const PostedCredentials = {
  client_id: Type.Optional(Type.String({ description: 'Instead of HTTP Basic' })),
  client_secret: Type.Optional(Type.String({ description: 'Instead of HTTP Basic' })),
  client_assertion_type: Type.Optional(
    Type.String({ description: '`urn:ietf:params:oauth:client-assertion-type:jwt-bearer`' }),
  ),
  client_assertion: Type.Optional(
    Type.String({ description: 'Instead of a secret: a JWT that the client, or a trusted issuer, has signed' }),
  ),
}
