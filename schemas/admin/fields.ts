import { type TProperties, type TSchemaOptions, type TString, Type } from 'typebox'
import { example, Fields, PostedCredentials, Time } from '../fields.js'

/**
 * A query or a body below `/admin`. Unknown members are refused, because a misspelt `?username=` would list all accounts,
 * and a call that should end one session would end all of them.
 */
export const StrictFields = <Properties extends TProperties>(properties: Properties, options: TSchemaOptions = {}) =>
  Type.Object(properties, { ...options, additionalProperties: false })

/** A body below `/admin`. It may have the credentials of the client. */
export const AdminBody = <Properties extends TProperties>(properties: Properties, options: TSchemaOptions = {}) =>
  StrictFields({ ...properties, ...PostedCredentials }, options)

/** The body of a route that has no parameters. */
export const CredentialsOnly = AdminBody({}, { examples: [{}] })

/** The common part of all admin routes. A route with a query overrides `querystring` after it. */
export const adminRoute = {
  tags: ['admin'],
  security: [{ basic: [] }, { bearer: [] }],
  querystring: StrictFields({}),
}

/** An account id in a path or a query. */
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
const ScopeToken = Type.String({ minLength: 1, maxLength: 64, pattern: `^${SCOPE}+$` })

/** A list; or one string with spaces between the items, because a form has no lists. */
const stringList = (item: TString, character: string, meaning: string) =>
  Type.Union(
    [
      Type.Array(item, { maxItems: 32 }),
      Type.String({ maxLength: 2100, pattern: `^(${character}+( ${character}+)*)?$` }),
    ],
    { description: `${meaning}: a list, or a string with spaces between the items` },
  )

export const Roles = stringList(Role, ROLE, 'Roles in the tokens of the account')
export const Scopes = stringList(
  ScopeToken,
  SCOPE,
  'Scopes that the client may have. `introspect`, `admin` and `recovery` give access to this service',
)
export const Audiences = stringList(
  ScopeToken,
  SCOPE,
  'Audiences whose tokens the client may introspect. Empty means all',
)

export const ExchangeAudiences = stringList(
  ScopeToken,
  SCOPE,
  'Audiences for which the client may exchange the token of a person (RFC 8693). Empty means none',
)

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
  description: 'Instead of a password, its hash from another system. docs/accounts.md lists the formats',
})
