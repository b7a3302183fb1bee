import { ownErrorResponses } from './error.js'
import { cannotAddPasskey, notFreshOptions, notRecent } from './factor-errors.js'
import { Fields, OWN_AUDIENCE } from './fields.js'
import { OpenObject } from './mfa-required.js'
import { Type } from './typebox.js'
import { AddedFactorBody, AFTER_503, ENROLMENT, FactorName, RECENT } from './users-me-factors.js'

/** `PublicKeyCredentialCreationOptionsJSON` of WebAuthn Level 3. */
const CreationOptions = Type.Object(
  {
    challenge: Type.String(),
    rp: OpenObject,
    user: OpenObject,
    pubKeyCredParams: Type.Array(OpenObject),
    timeout: Type.Optional(Type.Integer()),
    attestation: Type.Optional(Type.String()),
    attestationFormats: Type.Optional(Type.Array(Type.String())),
    excludeCredentials: Type.Optional(Type.Array(OpenObject)),
    authenticatorSelection: Type.Optional(OpenObject),
    extensions: Type.Optional(OpenObject),
    hints: Type.Optional(Type.Array(Type.String())),
  },
  {
    description: 'For `navigator.credentials.create()`: `PublicKeyCredentialCreationOptionsJSON`',
    examples: [
      {
        challenge: 'bGt0X2V5Sn…',
        rp: { id: 'example.com', name: 'example.com' },
        user: { id: 'M2Y2YzFhNTItOGQwZS00', name: 'ada', displayName: '' },
        pubKeyCredParams: [{ alg: -7, type: 'public-key' }],
        timeout: 300_000,
        attestation: 'none',
      },
    ],
  },
)

/** `POST /users/me/factors/passkeys/options` */
export const PasskeyRegistrationOptions = {
  summary: 'Get the options to register a passkey',
  description: `The challenge is good once, for 5 minutes. ${RECENT} ${ENROLMENT} ${OWN_AUDIENCE}`,
  tags: ['factors'],
  security: [{ bearer: [] }],
  response: {
    200: CreationOptions,
    ...ownErrorResponses({ 401: notRecent }),
  },
}

/** `POST /users/me/factors/passkeys` */
export const AddPasskey = {
  summary: 'Register a passkey',
  description:
    'The first factor brings ten recovery codes. Every other session of the user ends. ' +
    `${AFTER_503} ${RECENT} ${ENROLMENT} ${OWN_AUDIENCE}`,
  tags: ['factors'],
  security: [{ bearer: [] }],
  body: Fields(
    {
      passkey: Type.Unsafe<Record<string, unknown>>({
        type: 'object',
        additionalProperties: true,
        description: '`RegistrationResponseJSON` of WebAuthn',
      }),
      name: FactorName,
    },
    { examples: [{ passkey: { id: 'AbC…', type: 'public-key', response: {} }, name: "Ada's key" }] },
  ),
  response: {
    200: AddedFactorBody,
    ...ownErrorResponses({ 400: notFreshOptions, 401: notRecent, 409: cannotAddPasskey }),
  },
}
