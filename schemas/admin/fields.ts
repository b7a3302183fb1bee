import { type TProperties, type TSchemaOptions, type TString, Type } from 'typebox'
import { example, Fields, PostedCredentials, Time } from '../fields.js'

/**
 * A query or a body below `/admin`. A member that is not named is refused: `?username=` misspelt would list everybody, and an
 * end meant for one session would end them all.
 */
export const Exactly = <Properties extends TProperties>(properties: Properties, options: TSchemaOptions = {}) =>
  Type.Object(properties, { ...options, additionalProperties: false })

/** A body below `/admin`: the client may name itself there. */
export const AdminBody = <Properties extends TProperties>(properties: Properties, options: TSchemaOptions = {}) =>
  Exactly({ ...properties, ...PostedCredentials }, options)

/** Of a route that takes no other. */
export const CredentialsAlone = AdminBody({}, { examples: [{}] })

/** Who may call. A route that takes a query says so after this. */
export const byAdmin = {
  tags: ['admin'],
  security: [{ basic: [] }, { bearer: [] }],
  querystring: Exactly({}),
}

/** In an address, and in a query. */
export const UserId = Type.String({
  minLength: 1,
  maxLength: 64,
  pattern: '^[\\w-]+$',
  description: 'Id of an account: the `sub` of its tokens',
  examples: [example.user],
})
export const UserParams = Fields({ id: UserId })

const ROLE = '[!#-+\\x2d-\\[\\]-~]'
const Role = Type.String({ minLength: 1, maxLength: 64, pattern: `^${ROLE}+$` })

const SCOPE = '[!#-\\[\\]-~]'
const ScopeWord = Type.String({ minLength: 1, maxLength: 64, pattern: `^${SCOPE}+$` })

/** A list, or, as in a form, which has none, its words with a space between them. */
const words = (word: TString, character: string, what: string) =>
  Type.Union(
    [
      Type.Array(word, { maxItems: 32 }),
      Type.String({ maxLength: 2100, pattern: `^(${character}+( ${character}+)*)?$` }),
    ],
    { description: `${what}: a list, or words with a space between them` },
  )

export const Roles = words(Role, ROLE, 'Roles in its tokens')
export const Scopes = words(
  ScopeWord,
  SCOPE,
  'Scopes that it may have. `introspect` and `admin` open doors of this service',
)
export const Audiences = words(ScopeWord, SCOPE, 'Audiences whose tokens it sees at introspection; none: all')

export const User = Type.Object(
  {
    id: Type.String(),
    username: Type.String(),
    roles: Type.Array(Type.String()),
    disabled: Type.Boolean(),
    created_at: Time,
  },
  { description: 'An account' },
)
export const userExample = {
  id: example.user,
  username: example.username,
  roles: ['editor'],
  disabled: false,
  created_at: example.time,
}

export const PasswordHash = Type.String({
  minLength: 1,
  maxLength: 512,
  description: 'Instead of a password: its hash in another system. docs/accounts.md has the formats',
})
