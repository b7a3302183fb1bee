import { ownErrorResponses, readErrorResponses } from './error.js'
import { cannotRemove, factorsChanged, noFactors, noSuchFactor, notRecent } from './factor-errors.js'
import { example, Fields, OWN_AUDIENCE, Time } from './fields.js'
import { TokenResponse } from './token-response.js'
import { type Static, Type } from './typebox.js'

/** A sentence for the description of each endpoint that changes factors. */
export const RECENT =
  'The person must have signed in or stepped up at most 5 minutes ago, with a second factor if the account had one then. ' +
  'Otherwise the answer is 401 with the challenge of RFC 9470.'
/** A sentence for the description of each endpoint that adds a factor. */
export const ENROLMENT = 'An account that must enrol its first factor sends its `mfa_token` as the bearer token.'
/** A sentence for the description of each endpoint that changes factors and then ends the other sessions. */
export const AFTER_503 =
  'After a 503 the factors may have changed, and the other sessions may live. Read the factors, end the sessions with ' +
  '`DELETE /sessions?except=current`, and replace recovery codes that did not arrive.'

const Id = Type.String({ minLength: 1, maxLength: 64, pattern: '^[\\w-]+$', examples: ['Yk3f0b1Qk8pJt1uZ6hV9xN'] })

/** The name that a person gives to a factor. */
export const FactorName = Type.Optional(
  Type.String({ minLength: 1, maxLength: 100, pattern: '^\\P{Cc}*$', description: 'A name for the list' }),
)

const Factor = Type.Object({
  id: Type.String(),
  type: Type.String({ description: '`totp` or `passkey`' }),
  name: Type.Union([Type.String(), Type.Null()]),
  created_at: Time,
  last_used_at: Type.Union([Time, Type.Null()]),
})
const factorExample = {
  id: 'Yk3f0b1Qk8pJt1uZ6hV9xN',
  type: 'totp',
  name: "Ada's phone",
  created_at: example.time,
  last_used_at: null,
}

const RecoveryCodes = Type.Array(Type.String(), {
  description: 'Ten codes, each good once. They are shown only now',
  examples: [['k7f2-9xqd-m3ta-04rw']],
})

/** The factors of an account, without their secrets. */
export const FactorList = Type.Object(
  {
    factors: Type.Array(Factor),
    recovery_codes_left: Type.Integer(),
    mfa_required: Type.Boolean({
      description:
        'The account must sign in with two factors. At `/admin`: because an administrator said so for this account',
    }),
  },
  {
    description: 'The factors',
    examples: [{ factors: [factorExample], recovery_codes_left: 10, mfa_required: false }],
  },
)

/** The answer to a new factor. */
export const AddedFactorBody = Type.Object(
  {
    factor: Factor,
    recovery_codes: Type.Optional(RecoveryCodes),
    tokens: Type.Optional(
      Type.Object(TokenResponse.properties, { description: 'The tokens of the sign-in that had to enrol a factor' }),
    ),
  },
  {
    description: 'The factor; with the first factor the recovery codes',
    examples: [{ factor: factorExample, recovery_codes: ['k7f2-9xqd-m3ta-04rw'] }],
  },
)
export type AddedFactorBody = Static<typeof AddedFactorBody>

/** `GET /users/me/factors` */
export const ListFactors = {
  summary: 'List the second factors',
  description: OWN_AUDIENCE,
  tags: ['factors'],
  security: [{ bearer: [] }],
  response: { 200: FactorList, ...readErrorResponses(401) },
}

/** `DELETE /users/me/factors/:id` */
export const RemoveFactor = {
  summary: 'Remove a second factor',
  description: `Ends every other session of the user. With the last factor the recovery codes go. ${AFTER_503} ${RECENT} ${OWN_AUDIENCE}`,
  tags: ['factors'],
  security: [{ bearer: [] }],
  params: Fields({ id: Id }),
  response: {
    204: Type.Null({ description: 'Removed' }),
    ...ownErrorResponses({ 401: notRecent, 404: noSuchFactor, 409: cannotRemove }),
  },
}

/** `POST /users/me/factors/recovery-codes` */
export const RenewRecoveryCodes = {
  summary: 'Replace the recovery codes',
  description: `The old codes end, and so does every other session of the user. ${AFTER_503} ${RECENT} ${OWN_AUDIENCE}`,
  tags: ['factors'],
  security: [{ bearer: [] }],
  response: {
    200: Type.Object(
      { recovery_codes: RecoveryCodes },
      { description: 'The new codes', examples: [{ recovery_codes: ['k7f2-9xqd-m3ta-04rw'] }] },
    ),
    ...ownErrorResponses({ 401: notRecent, 404: noFactors, 409: factorsChanged }),
  },
}
