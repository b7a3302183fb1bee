import { Type } from 'typebox'
import { refusals } from '../error.js'
import { example, Fields, SessionIdParam } from '../fields.js'
import { exampleSession, sessionFields } from '../sessions.js'
import { byAdmin, CredentialsAlone, Exactly, UserId } from './fields.js'

const querystring = Exactly({ sub: UserId })

/** `GET /admin/sessions` */
export const ListSessionsOf = {
  summary: 'List the sessions of an account',
  ...byAdmin,
  querystring,
  response: {
    200: Type.Object(
      {
        sessions: Type.Array(
          Type.Object({
            ...sessionFields,
            client_id: Type.String(),
            scope: Type.String(),
            roles: Type.Array(Type.String()),
          }),
        ),
      },
      {
        description: 'The living sessions, the latest used first',
        examples: [
          {
            sessions: [{ ...exampleSession, client_id: 'latchkey', scope: example.scope, roles: ['editor'] }],
          },
        ],
      },
    ),
    ...refusals(401, 403, 404),
  },
}

/** `DELETE /admin/sessions` */
export const RevokeSessionsOf = {
  summary: 'End every session of an account',
  description: 'Answers 204 also when there is none.',
  ...byAdmin,
  querystring,
  body: CredentialsAlone,
  response: { 204: Type.Null({ description: 'Ended' }), ...refusals(401, 403) },
}

/** `DELETE /admin/sessions/:sid` */
export const RevokeSession = {
  summary: 'End one session of an account',
  description: 'Answers 204 also when there is no such session of it.',
  ...byAdmin,
  params: Fields({ sid: SessionIdParam }),
  querystring,
  body: CredentialsAlone,
  response: { 204: Type.Null({ description: 'Ended' }), ...refusals(401, 403) },
}
