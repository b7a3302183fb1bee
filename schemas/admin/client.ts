import { commonErrorResponses, readErrorResponses } from '../error.js'
import { example, Fields, Time } from '../fields.js'
import { Type } from '../typebox.js'
import { Client, ClientId, clientExample, Secret } from './clients.js'
import {
  AdminBody,
  Audiences,
  adminRoute,
  CredentialsOnly,
  ExchangeAudiences,
  exampleJwks,
  IssuerName,
  Jwks,
  JwksUri,
  Scopes,
  Subject,
} from './fields.js'

const params = Fields({ id: ClientId })

/** `GET /admin/clients/:id` */
export const ReadClient = {
  summary: 'Read a client',
  ...adminRoute,
  params,
  response: {
    200: Type.Object(Client.properties, { description: 'The client', examples: [clientExample] }),
    ...readErrorResponses(401, 403, 404),
  },
}

/** `PATCH /admin/clients/:id` */
export const ChangeClient = {
  summary: 'Change what a client may do, and how it authenticates',
  description:
    'Changes only what the body names. An empty list of scopes or exchange audiences takes all of them away. An empty list of audiences removes the limit: the client then introspects tokens for every audience. `null` removes a proof. `jwks` replaces `jwks_uri`, and the other way round. `issuer` and ' +
    '`subject` come together. `"secret": false` removes every secret. Other replicas follow within 5 seconds.',
  ...adminRoute,
  params,
  body: AdminBody(
    {
      scopes: Type.Optional(Scopes),
      audiences: Type.Optional(Audiences),
      exchange_audiences: Type.Optional(ExchangeAudiences),
      jwks: Type.Optional(Type.Union([Jwks, Type.Null()])),
      jwks_uri: Type.Optional(Type.Union([JwksUri, Type.Null()])),
      issuer: Type.Optional(Type.Union([IssuerName, Type.Null()])),
      subject: Type.Optional(Type.Union([Subject, Type.Null()])),
      secret: Type.Optional(
        Type.Literal(false, { 'x-rule': 'must be false: POST /admin/clients/{id}/secret gives a new one' }),
      ),
    },
    {
      examples: [
        { jwks: exampleJwks, secret: false },
        { issuer: null, subject: null },
        { exchange_audiences: ['todo', 'mail'] },
      ],
    },
  ),
  response: {
    200: Type.Object(Client.properties, { description: 'The client', examples: [clientExample] }),
    ...commonErrorResponses(401, 403, 404, 409),
  },
}

/** `DELETE /admin/clients/:id` */
export const DeleteClient = {
  summary: 'Delete a client',
  description:
    'The client’s own tokens end. Sessions of people that began through the client cannot be refreshed any more.',
  ...adminRoute,
  params,
  body: CredentialsOnly,
  response: { 204: Type.Null({ description: 'Done' }), ...commonErrorResponses(401, 403, 404) },
}

/** `POST /admin/clients/:id/secret` */
export const RotateSecret = {
  summary: 'Give a client a new secret',
  description:
    'The previous secret stays valid until the overlap ends, so that services can change it one by one. Older secrets end.',
  ...adminRoute,
  params,
  body: AdminBody(
    {
      overlap: Type.Optional(
        Type.String({
          pattern: '^([0-9]{1,6}[smhd]|0)$',
          description: 'For example `30m`, `12h` or `0`. Default: `1d`',
          'x-rule': 'must be a duration such as 30m, 12h or 0',
        }),
      ),
    },
    { examples: [{ overlap: '12h' }] },
  ),
  response: {
    200: Type.Object(
      { id: Type.String(), secret: Secret, previous_secret_until: Type.Union([Time, Type.Null()]) },
      {
        description: 'The new secret',
        examples: [{ id: 'backend', secret: example.clientSecret, previous_secret_until: example.time + 43_200 }],
      },
    ),
    ...commonErrorResponses(401, 403, 404),
  },
}
