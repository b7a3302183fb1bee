import { commonErrorResponses, readErrorResponses } from './error.js'
import { example, Fields, OWN_AUDIENCE, SessionId, SessionIdParam, Time } from './fields.js'
import { Type } from './typebox.js'

const nullableText = Type.Union([Type.String(), Type.Null()])

/** The members of a session that its owner and an administrator see. */
export const sessionFields = {
  sid: SessionId,
  device_name: nullableText,
  ip: Type.String(),
  user_agent: nullableText,
  created_at: Time,
  last_seen_at: Time,
  expires_at: Time,
}
export const exampleSession = {
  sid: example.session,
  device_name: example.device,
  ip: '192.0.2.7',
  user_agent: 'curl/8.14.1',
  created_at: example.time,
  last_seen_at: example.time,
  expires_at: example.time + 604_800,
}

/** `GET /sessions` */
export const ListSessions = {
  summary: 'List the sessions of the user',
  description: OWN_AUDIENCE,
  tags: ['sessions'],
  security: [{ bearer: [] }],
  response: {
    200: Type.Object(
      {
        sessions: Type.Array(
          Type.Object({
            ...sessionFields,
            current: Type.Boolean({ description: 'Whether the bearer token belongs to this session' }),
          }),
        ),
      },
      {
        description: 'The live sessions, the last used one first',
        examples: [
          {
            sessions: [{ ...exampleSession, current: true }],
          },
        ],
      },
    ),
    ...readErrorResponses(401),
  },
}

/** `DELETE /sessions/:sid` */
export const EndSession = {
  summary: 'End one session',
  description: `The answer is 204 also if the user has no such session. ${OWN_AUDIENCE}`,
  tags: ['sessions'],
  security: [{ bearer: [] }],
  params: Fields({ sid: SessionIdParam }),
  response: { 204: Type.Null({ description: 'Ended' }), ...commonErrorResponses(401) },
}

/** `DELETE /sessions?except=current` */
export const EndOtherSessions = {
  summary: 'End every other session',
  description: OWN_AUDIENCE,
  tags: ['sessions'],
  security: [{ bearer: [] }],
  querystring: Fields({
    except: Type.Literal('current', { description: 'Required. To end all sessions, call `POST /logout-all`' }),
  }),
  response: { 204: Type.Null({ description: 'Ended' }), ...commonErrorResponses(401) },
}
