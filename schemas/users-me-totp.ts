import { ownErrorResponses } from './error.js'
import { factorsChanged, notConfirmed, notRecent, totpIsOff } from './factor-errors.js'
import { Fields, OWN_AUDIENCE } from './fields.js'
import { Type } from './typebox.js'
import { AddedFactorBody, AFTER_503, ENROLMENT, FactorName, RECENT } from './users-me-factors.js'

/** `POST /users/me/factors/totp` */
export const BeginTotp = {
  summary: 'Begin to enrol an authenticator app',
  description: `Show \`otpauth_uri\` as a QR code, then confirm within 10 minutes. Nothing changes before. ${RECENT} ${ENROLMENT} ${OWN_AUDIENCE}`,
  tags: ['factors'],
  security: [{ bearer: [] }],
  response: {
    200: Type.Object(
      {
        secret: Type.String({ description: 'Base32, to type in' }),
        otpauth_uri: Type.String({ description: 'For the QR code' }),
      },
      {
        description: 'The secret (RFC 6238: SHA-1, 6 digits, 30 s)',
        examples: [
          {
            secret: 'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP',
            otpauth_uri: 'otpauth://totp/example.com:ada?issuer=example.com&secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP',
          },
        ],
      },
    ),
    ...ownErrorResponses({ 401: notRecent, 404: totpIsOff }),
  },
}

/** `POST /users/me/factors/totp/confirm` */
export const ConfirmTotp = {
  summary: 'Confirm the authenticator app with its code',
  description:
    'The first factor brings ten recovery codes. An earlier authenticator app is replaced. Every other session of the user ends. ' +
    `${AFTER_503} ${RECENT} ${ENROLMENT} ${OWN_AUDIENCE}`,
  tags: ['factors'],
  security: [{ bearer: [] }],
  body: Fields(
    {
      totp: Type.String({ minLength: 1, maxLength: 32, description: 'The code that the app shows' }),
      name: FactorName,
    },
    { examples: [{ totp: '492039', name: "Ada's phone" }] },
  ),
  response: {
    200: AddedFactorBody,
    ...ownErrorResponses({ 400: notConfirmed, 401: notRecent, 404: totpIsOff, 409: factorsChanged }),
  },
}
