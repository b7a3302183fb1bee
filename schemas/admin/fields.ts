import { example, Fields, PostedCredentials, SCOPE_CHARACTER, Time } from '../fields.js'
import { type TProperties, type TSchemaOptions, type TString, Type } from '../typebox.js'

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
  security: [{ bearer: [] }, { clientToken: [] }, { basic: [] }],
  querystring: StrictFields({}),
}

/** An account id in a path or a query. */
export const UserId = Type.String({
  minLength: 1,
  maxLength: 64,
  pattern: '^[A-Za-z0-9._~|:@+-]+$',
  description: 'Id of an account: the `sub` of its tokens',
  'x-rule': 'must be 1 to 64 letters, digits and . _ ~ | : @ + -',
  examples: [example.user],
})
export const UserParams = Fields({ id: UserId })

const ROLE = '[!#-+\\x2d-\\[\\]-~]'
const Role = Type.String({ minLength: 1, maxLength: 64, pattern: `^${ROLE}+$` })

const ScopeToken = Type.String({ minLength: 1, maxLength: 64, pattern: `^${SCOPE_CHARACTER}+$` })

/** A list; or one string with spaces between the items, because a form has no lists. */
const stringList = (item: TString, character: string, meaning: string) =>
  Type.Union(
    [
      Type.Array(item, { maxItems: 32 }),
      Type.String({ maxLength: 2100, pattern: `^(${character}+( ${character}+)*)?$` }),
    ],
    { description: `${meaning}: a list, or a string with spaces between the items` },
  )

export const Roles = stringList(
  Role,
  ROLE,
  'Roles in the tokens of the account. `latchkey-admin` makes an administrator, and is never imported',
)
export const Scopes = stringList(
  ScopeToken,
  SCOPE_CHARACTER,
  'Scopes that the client may have. `introspect`, `admin` and `recovery` give access to this service',
)
export const Audiences = stringList(
  ScopeToken,
  SCOPE_CHARACTER,
  'Audiences whose tokens the client may introspect, get for itself and exchange. Empty means all; at an exchange, `ISSUER` and the default audience',
)

/** A JSON object; or the same as text, because a form has no objects. */
export const Claims = Type.Union(
  [
    Type.Unsafe<Record<string, unknown>>({ type: 'object', additionalProperties: true }),
    Type.String({ maxLength: 2048 }),
  ],
  {
    description:
      'Claims of the account: a flat JSON object of at most 1 KiB, or the same as text. Tokens carry those that ' +
      '`ACCOUNT_CLAIMS` names',
  },
)

/** A JWK Set. `src/clients/client-proof.ts` has the rules for the keys. */
export const Jwks = Type.Object(
  { keys: Type.Array(Type.Object({}, { additionalProperties: true }), { minItems: 1, maxItems: 20 }) },
  {
    additionalProperties: true,
    description: 'Public keys: EC P-256, RSA or Ed25519. An RSA key without `alg` verifies RS256 and PS256',
  },
)
/** The public keys in an answer. */
export const PublicJwks = Type.Object({ keys: Type.Array(Type.Record(Type.String(), Type.String())) })
export const JwksUri = Type.String({
  minLength: 1,
  maxLength: 2000,
  description:
    'The address of the keys, which begins with `https://`. Outside production, and on loopback, `http://` is accepted',
})
export const IssuerName = Type.String({
  minLength: 1,
  maxLength: 64,
  pattern: '^[A-Za-z0-9._-]+$',
  description: 'Name of a trusted issuer: letters, digits, dots, dashes and underscores',
  'x-rule': 'must be 1 to 64 letters, digits, dots, dashes and underscores',
  examples: ['cluster'],
})
export const Subject = Type.String({
  minLength: 1,
  maxLength: 1024,
  pattern: '^[!-~]+$',
  description: 'The `sub` of the tokens of the trusted issuer that authenticate the client',
  'x-rule': 'must be 1 to 1024 printable ASCII characters without spaces',
  examples: ['system:serviceaccount:shop:billing'],
})
export const exampleJwks = {
  keys: [
    {
      kty: 'EC',
      crv: 'P-256',
      x: 'f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU',
      y: 'x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0',
      kid: '2026-11',
    },
  ],
}
export const ExchangeAudiences = stringList(
  ScopeToken,
  SCOPE_CHARACTER,
  'Audiences for which the client may exchange the token of a person (RFC 8693). Empty means none',
)

export const User = Type.Object(
  {
    id: Type.String(),
    username: Type.String(),
    roles: Type.Array(Type.String()),
    disabled: Type.Boolean(),
    created_at: Time,
    claims: Type.Unsafe<Record<string, string | number | boolean>>({
      type: 'object',
      additionalProperties: true,
      description: 'Claims of the account',
    }),
  },
  { description: 'An account' },
)
export const userExample = {
  id: example.user,
  username: example.username,
  roles: ['editor'],
  disabled: false,
  created_at: example.time,
  claims: { tenant: 'acme' },
}

export const PasswordHash = Type.String({
  minLength: 1,
  maxLength: 512,
  description: 'Instead of a password, its hash from another system. docs/accounts.md lists the formats',
})
