import { type TProperties, type TSchemaOptions, Type } from 'typebox'

/** A body, a query or a set of path parameters. Members that are not named are ignored, as RFC 6749 §3.2 asks. */
export const Fields = <Properties extends TProperties>(properties: Properties, options: TSchemaOptions = {}) =>
  Type.Object(properties, { ...options, additionalProperties: true })

/** One session of Ada's, in every example: what one call answers is what the next one sends. */
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
 * At sign-in any text is a user name: one that no account can have is simply not known.
 * The rule for new accounts is in `src/users/username.ts`.
 */
export const Username = Type.String({ minLength: 1, maxLength: 256, examples: [example.username] })

/** Longer than any real pass phrase, short enough that hashing it costs the same as any other. */
export const Password = Type.String({ minLength: 1, maxLength: 256, examples: [example.password] })

/** RFC 6749 §3.3. May be empty. */
export const Scope = Type.String({
  maxLength: 1000,
  pattern: '^([!#-\\[\\]-~]+( [!#-\\[\\]-~]+)*)?$',
  description: 'Space-separated scopes',
  examples: [example.scope],
})

/** Access and refresh tokens alike; anything longer than 8192 characters is none of ours. */
// No length: the body has one, and counting the characters of a token took 2 µs.
export const Token = Type.String({ pattern: '\\S', 'x-rule': 'must not be blank' })

export const AccessToken = Type.String({ description: 'JWT (RFC 9068)', examples: [example.accessToken] })
export const RefreshToken = Type.String({ description: 'Opaque. Keep it secret', examples: [example.refreshToken] })

/** An answer without a body. */
export const Empty = (description: string) => Type.Unsafe<undefined>({ type: 'null', description })

export const SessionId = Type.String({ description: 'Session', examples: [example.session] })
/** In an address. */
export const SessionIdParam = Type.String({
  minLength: 1,
  maxLength: 64,
  pattern: '^[\\w-]+$',
  examples: [example.session],
})
/** Unix seconds. */
export const Time = Type.Integer({ description: 'Unix time in seconds', examples: [example.time] })

/** What each endpoint says where a person acts on their own account. */
export const OWN_AUDIENCE =
  'The access token must be for `ISSUER` or for the default audience, the first of `AUDIENCE`.'

/** `client_secret_post` (RFC 6749 §2.3.1) */
export const PostedCredentials = {
  client_id: Type.Optional(Type.String({ description: 'Instead of HTTP Basic' })),
  client_secret: Type.Optional(Type.String({ description: 'Instead of HTTP Basic' })),
}
