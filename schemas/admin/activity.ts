import { readErrorResponses } from '../error.js'
import { example, Time } from '../fields.js'
import { Type } from '../typebox.js'
import { adminRoute, StrictFields } from './fields.js'

const Count = Type.Integer({ minimum: 0 })

/** `GET /admin/now` */
export const ReadNow = {
  summary: 'Read the state of the service, and the last hour of this instance',
  description: 'The counts are those of the instance that answers. `/metrics` of every instance has them all.',
  ...adminRoute,
  response: {
    200: Type.Object(
      {
        version: Type.String(),
        node: Type.String({ description: 'The version of Node.js' }),
        started_at: Time,
        checks: Type.Record(Type.String(), Type.String(), { description: '`ok`, or what is wrong, for each store' }),
        live_sessions: Type.Union([Count, Type.Null()], { description: '`null` if the store does not answer' }),
        feed_age_ms: Type.Union([Type.Number(), Type.Null()], {
          description:
            'Age of the last entry of the revocation feed. `null` if no instance writes it, or it is unknown',
        }),
        minutes: Type.Array(
          Type.Object({
            time: Time,
            sign_ins: Count,
            refreshes: Count,
            refusals: Count,
            revocations: Count,
          }),
          { description: 'The last 60 minutes, the oldest first' },
        ),
      },
      {
        description: 'The state',
        examples: [
          {
            version: '0.1.0',
            node: '24.4.1',
            started_at: example.time,
            checks: { database: 'ok' },
            live_sessions: 3,
            feed_age_ms: 240,
            minutes: [{ time: example.time, sign_ins: 2, refreshes: 14, refusals: 0, revocations: 1 }],
          },
        ],
      },
    ),
    ...readErrorResponses(401, 403),
  },
}

/** `GET /admin/activity` */
export const ListActivity = {
  summary: 'List audit events of the last hour of this instance',
  description:
    'The newest first. Memory holds at most 500 events of each kind: sign-ins, refreshes, refusals, ends of sessions, changes, ' +
    'and acts of administrators. The audit log on standard output has all.',
  ...adminRoute,
  querystring: StrictFields({
    event: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 64,
        description: 'Only events whose names begin with it, such as `login.`',
      }),
    ),
    sub: Type.Optional(
      Type.String({ minLength: 1, maxLength: 64, description: 'Only events of this account or client' }),
    ),
    limit: Type.Optional(
      Type.String({
        pattern: '^([1-9][0-9]{0,2}|1000)$',
        description: 'Events, 1 to 1000. Default: 200',
        'x-rule': 'must be a whole number from 1 to 1000',
      }),
    ),
  }),
  response: {
    200: Type.Object(
      {
        events: Type.Array(Type.Unsafe<Record<string, unknown>>({ type: 'object', additionalProperties: true }), {
          description: 'As in the audit log: `time`, `event`, `ip`, `reqId` and the members of the event',
        }),
      },
      {
        description: 'The events',
        examples: [
          {
            events: [
              {
                time: '2026-11-21T23:39:42.512Z',
                event: 'user.disabled',
                sub: example.user,
                by: 'backend',
                ip: '192.0.2.7',
                reqId: 'xK3v-1',
              },
            ],
          },
        ],
      },
    ),
    ...readErrorResponses(401, 403),
  },
}

/** `GET /admin/keys` */
export const ListKeys = {
  summary: 'List the keys that sign and verify access tokens',
  description: 'No answer has a private key or a secret.',
  ...adminRoute,
  response: {
    200: Type.Object(
      {
        source: Type.Union([Type.Literal('JWT_SECRET'), Type.Literal('JWT_KEYS_FILE')]),
        mode: Type.Union([Type.Literal('shared'), Type.Literal('audience')], {
          description: '`JWT_SECRET_MODE`: whether each audience has an HS256 key of its own',
        }),
        keys: Type.Array(
          Type.Object({
            kid: Type.String(),
            alg: Type.String(),
            signs: Type.Boolean({ description: 'New tokens are signed with the key. The other keys only verify' }),
            is_shared: Type.Boolean({ description: 'Services that verify have the same secret' }),
            audience: Type.Union([Type.String(), Type.Null()]),
            known_since: Time,
          }),
          {
            description:
              '`known_since` is when this list had the key first: at the start of the instance, or at a later `GET /admin/keys`',
          },
        ),
      },
      {
        description: 'The keys',
        examples: [
          {
            source: 'JWT_KEYS_FILE',
            mode: 'shared',
            keys: [
              {
                kid: 'F4VnbQ0X3rP1yWm8sJ2kT6hL9dC5gA7uE0zR4oBvIqM',
                alg: 'ES256',
                signs: true,
                is_shared: false,
                audience: null,
                known_since: example.time,
              },
            ],
          },
        ],
      },
    ),
    ...readErrorResponses(401, 403),
  },
}
