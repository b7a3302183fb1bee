import { commonErrorResponses, readErrorResponses } from '../error.js'
import { example, Time } from '../fields.js'
import { Type } from '../typebox.js'
import {
  AdminBody,
  Audiences,
  adminRoute,
  ExchangeAudiences,
  exampleJwks,
  IssuerName,
  Jwks,
  JwksUri,
  PublicJwks,
  Scopes,
  Subject,
} from './fields.js'

export const ClientId = Type.String({
  minLength: 1,
  maxLength: 64,
  pattern: '^[A-Za-z0-9._-]+$',
  description: 'Letters, digits, dots, dashes and underscores',
  'x-rule': 'must be 1 to 64 letters, digits, dots, dashes and underscores',
  examples: ['backend'],
})

export const Client = Type.Object({
  id: Type.String(),
  scopes: Type.Array(Type.String()),
  audiences: Type.Array(Type.String()),
  exchange_audiences: Type.Array(Type.String()),
  created_at: Time,
  previous_secret_until: Type.Union([Time, Type.Null()], {
    description: 'When the previous secret ends. `null` if no previous secret is valid',
  }),
  has_secret: Type.Boolean(),
  jwks: Type.Union([PublicJwks, Type.Null()], { description: 'The keys that verify the assertions of the client' }),
  jwks_uri: Type.Union([Type.String(), Type.Null()], { description: 'The address of these keys' }),
  issuer: Type.Union([Type.String(), Type.Null()], { description: 'Name of the trusted issuer of `subject`' }),
  subject: Type.Union([Type.String(), Type.Null()], {
    description: 'A token of `issuer` with this `sub` authenticates the client',
  }),
})
export const clientExample = {
  id: 'backend',
  scopes: ['introspect'],
  audiences: [],
  exchange_audiences: [],
  created_at: example.time,
  previous_secret_until: null,
  has_secret: true,
  jwks: null,
  jwks_uri: null,
  issuer: null,
  subject: null,
}

export const Secret = Type.String({ description: 'Only this response shows it' })

/** `GET /admin/clients` */
export const ListClients = {
  summary: 'List the clients',
  description: 'All clients, one for each service, without their secrets.',
  ...adminRoute,
  response: {
    200: Type.Object(
      { clients: Type.Array(Client) },
      { description: 'The clients, by id', examples: [{ clients: [clientExample] }] },
    ),
    ...readErrorResponses(401, 403),
  },
}

/** `POST /admin/clients` */
export const CreateClient = {
  summary: 'Create a client',
  description:
    'Without `jwks`, `jwks_uri`, and `issuer` with `subject`, the client gets a new secret. With one of these it gets a secret ' +
    'only if `secret` is true.',
  ...adminRoute,
  body: AdminBody(
    {
      id: ClientId,
      scopes: Type.Optional(Scopes),
      audiences: Type.Optional(Audiences),
      jwks: Type.Optional(Jwks),
      jwks_uri: Type.Optional(JwksUri),
      issuer: Type.Optional(IssuerName),
      subject: Type.Optional(Subject),
      secret: Type.Optional(Type.Boolean()),
      exchange_audiences: Type.Optional(ExchangeAudiences),
    },
    {
      examples: [
        { id: 'backend', scopes: 'introspect' },
        { id: 'billing', jwks: exampleJwks },
        { id: 'shop', issuer: 'cluster', subject: 'system:serviceaccount:shop:web' },
        { id: 'gateway', exchange_audiences: 'todo mail' },
      ],
    },
  ),
  response: {
    201: Type.Object(
      { ...Client.properties, secret: Type.Optional(Secret) },
      { description: 'The client', examples: [{ ...clientExample, secret: example.clientSecret }] },
    ),
    ...commonErrorResponses(401, 403, 409),
  },
}
