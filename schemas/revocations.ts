import { readErrorResponses } from './error.js'
import { example, Fields, SessionId, Time } from './fields.js'
import { Type } from './typebox.js'

const Revocation = Type.Union([
  Type.Object({ sids: Type.Array(SessionId) }, { description: 'These sessions have ended' }),
  Type.Object(
    { client_id: Type.String(), issued_until: Time },
    { description: 'The tokens that this client got for itself, with `iat` up to this time, have ended' },
  ),
])

const RevocationsResponse = Type.Object(
  {
    feed: Type.String({
      description:
        'Names this history. If it changes, revocations may have been lost: ask again without `after`, and count as fresh ' +
        'only after the next answer with `more: false`',
    }),
    epoch: Type.Integer({
      description: 'Unix time in seconds. The feed knows nothing about tokens that were issued before: introspect them',
    }),
    cursor: Type.String({ description: '`after` of the next request' }),
    more: Type.Boolean({ description: 'More entries are waiting: ask again at once' }),
    read_after_ms: Type.Number({
      description:
        'Milliseconds from the arrival of the request to the read of the store. With `more: false`, the answers so far have ' +
        'every revocation that was acknowledged before the request was sent, and in this time after that',
    }),
    revocations: Type.Array(Revocation, { description: 'The oldest first. At most 1,000' }),
  },
  {
    description: 'The next revocations',
    examples: [
      {
        feed: 'Vt3uR0c8Jq1wXk5Z',
        epoch: example.time,
        cursor: '1795290012345-42-9f8Hn1Vn',
        more: false,
        read_after_ms: 3.1,
        revocations: [{ sids: [example.session] }, { client_id: 'billing', issued_until: 1795290100 }],
      },
    ],
  },
)

/** `GET /revocations` */
export const Revocations = {
  summary: 'Follow the revocations',
  description:
    'For services that verify access tokens themselves. For clients with the scope `introspect`, as `/introspect`. ' +
    'Entries are kept for `ACCESS_TTL` and 60 seconds.',
  tags: ['services'],
  security: [{ clientToken: [] }, { basic: [] }],
  querystring: Fields({
    after: Type.Optional(
      Type.String({
        pattern: '^\\d{1,15}-\\d{1,15}(-[\\w-]{0,8}(\\.[\\w-]{8})?)?$',
        description: '`cursor` of the previous answer. Without it, the answer begins with the oldest entry',
        'x-rule': 'must be cursor of the previous answer',
      }),
    ),
    wait: Type.Optional(
      Type.String({
        pattern: '^(0|[1-9][0-9]{0,2}|1000)$',
        description: 'How long the answer may be held back while there is no news. Milliseconds, 0 to 1000. Default: 0',
        'x-rule': 'must be a whole number from 0 to 1000',
      }),
    ),
  }),
  response: { 200: RevocationsResponse, ...readErrorResponses(401, 403) },
}
