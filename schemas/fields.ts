import { type TProperties, type TSchemaOptions, Type } from 'typebox'

/** A body, a query or a set of path parameters. Members that are not named are ignored, as RFC 6749 §3.2 asks. */
export const Fields = <Properties extends TProperties>(properties: Properties, options: TSchemaOptions = {}) =>
  Type.Object(properties, { ...options, additionalProperties: true })

/**
 * At sign-in any text is a user name: one that no account can have is simply not known.
 * The rule for new accounts is in `src/users/username.ts`.
 */
export const Username = Type.String({ minLength: 1, maxLength: 256, examples: ['ada'] })

/** Longer than any real pass phrase, short enough that hashing it costs the same as any other. */
export const Password = Type.String({ minLength: 1, maxLength: 256, examples: ['correct horse battery staple'] })

/** RFC 6749 §3.3. May be empty. */
export const Scope = Type.String({
  maxLength: 1000,
  pattern: '^([!#-\\[\\]-~]+( [!#-\\[\\]-~]+)*)?$',
  description: 'Space-separated scopes',
  examples: ['todo:read todo:write'],
})

/** Access and refresh tokens alike; anything longer than 8192 characters is none of ours. */
export const Token = Type.String({ minLength: 1, maxLength: 16_384 })

export const AccessToken = Type.String({ description: 'JWT (RFC 9068)', examples: ['eyJhbGciOiJIUzI1NiIs…'] })
export const RefreshToken = Type.String({ description: 'Opaque. Keep it secret', examples: ['lkr_B3kV0w…'] })

export const SessionId = Type.String({ description: 'Session', examples: ['9f8Hn1VnTz2cUWl0q3yJ8A'] })
/** An answer without a body. */
export const Empty = (description: string) => Type.Unsafe<undefined>({ type: 'null', description })

/** Unix seconds. */
export const Time = Type.Integer({ description: 'Unix time in seconds', examples: [1795290000] })
