import { Type } from 'typebox'
import { refusals } from '../error.js'
import { example, Fields, SessionId, SessionIdParam, Time } from '../fields.js'
import { byAdmin, UserId } from './fields.js'

const nullableText = Type.Union([Type.String(), Type.Null()])
const querystring = Fields({ sub: UserId })

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
            sid: SessionId,
            client_id: Type.String(),
            scope: Type.String(),
            roles: Type.Array(Type.String()),
            device_name: nullableText,
            ip: Type.String(),
            user_agent: nullableText,
            created_at: Time,
            last_seen_at: Time,
            expires_at: Time,
          }),
        ),
      },
      {
        description: 'The living sessions, the latest used first',
        examples: [
          {
            sessions: [
              {
                sid: example.session,
                client_id: 'latchkey',
                scope: example.scope,
                roles: ['editor'],
                device_name: example.device,
                ip: '192.0.2.7',
                user_agent: 'curl/8.14.1',
                created_at: example.time,
                last_seen_at: example.time,
                expires_at: example.time + 604_800,
              },
            ],
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
  response: { 204: Type.Null({ description: 'Ended' }), ...refusals(401, 403) },
}

/** `DELETE /admin/sessions/:sid` */
export const RevokeSession = {
  summary: 'End one session of an account',
  description: 'Answers 204 also when there is no such session of it.',
  ...byAdmin,
  params: Fields({ sid: SessionIdParam }),
  querystring,
  response: { 204: Type.Null({ description: 'Ended' }), ...refusals(401, 403) },
}
