import { commonErrorResponses, readErrorResponses } from '../error.js'
import { example, Fields, SessionIdParam } from '../fields.js'
import { exampleSession, sessionFields } from '../sessions.js'
import { Type } from '../typebox.js'
import { adminRoute, CredentialsOnly, StrictFields, UserId } from './fields.js'

const querystring = StrictFields({ sub: UserId })

/** `GET /admin/sessions` */
export const ListSessionsOf = {
  summary: 'List the sessions of an account',
  ...adminRoute,
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
        description: 'The live sessions, the last used one first',
        examples: [
          {
            sessions: [{ ...exampleSession, client_id: 'latchkey', scope: example.scope, roles: ['editor'] }],
          },
        ],
      },
    ),
    ...readErrorResponses(401, 403, 404),
  },
}

/** `DELETE /admin/sessions` */
export const RevokeSessionsOf = {
  summary: 'End every session of an account',
  description: 'The answer is 204 also if the account has no session.',
  ...adminRoute,
  querystring,
  body: CredentialsOnly,
  response: { 204: Type.Null({ description: 'Ended' }), ...commonErrorResponses(401, 403) },
}

/** `DELETE /admin/sessions/:sid` */
export const RevokeSession = {
  summary: 'End one session of an account',
  description: 'The answer is 204 also if the account has no such session.',
  ...adminRoute,
  params: Fields({ sid: SessionIdParam }),
  querystring,
  body: CredentialsOnly,
  response: { 204: Type.Null({ description: 'Ended' }), ...commonErrorResponses(401, 403) },
}
