import { Type } from 'typebox'
import { refusals } from '../error.js'
import { example, Fields, Time } from '../fields.js'
import { Client, ClientId, clientExample, Secret } from './clients.js'
import { AdminBody, byAdmin, CredentialsAlone } from './fields.js'

const params = Fields({ id: ClientId })

/** `GET /admin/clients/:id` */
export const ReadClient = {
  summary: 'Read a client',
  ...byAdmin,
  params,
  response: {
    200: Type.Object(Client.properties, { description: 'The client', examples: [clientExample] }),
    ...refusals(401, 403, 404),
  },
}

/** `DELETE /admin/clients/:id` */
export const DeleteClient = {
  summary: 'Delete a client',
  description:
    'The tokens that it got for itself end; sessions of people that began by way of it can be refreshed no longer.',
  ...byAdmin,
  params,
  body: CredentialsAlone,
  response: { 204: Type.Null({ description: 'Done' }), ...refusals(401, 403, 404) },
}

/** `POST /admin/clients/:id/secret` */
export const RotateSecret = {
  summary: 'Give a client a new secret',
  description:
    'The one before is good until the overlap ends, so that services change theirs one by one; older ones are not.',
  ...byAdmin,
  params,
  body: AdminBody(
    {
      overlap: Type.Optional(
        Type.String({
          pattern: '^([0-9]{1,6}[smhd]|0)$',
          description: 'Such as `30m`, `12h` or `0`; `1d` if left out',
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
    ...refusals(401, 403, 404),
  },
}
