import { ownErrorResponses } from './error.js'
import { wrongFactor } from './factor-errors.js'
import { example, Fields, Password, RefreshIn } from './fields.js'
import { PresentedFactor } from './mfa-required.js'
import { TokenResponse } from './token-response.js'
import { Type } from './typebox.js'

/** `POST /login/step-up` */
export const StepUp = {
  summary: 'Prove again who you are, in the same session',
  description:
    'Send an access token of any audience as the bearer token, and the password or one factor. The session gets new tokens with a ' +
    'new `auth_time` (RFC 9470). A factor raises `acr` to 2. The password alone sets it to 1. Use the new refresh token: ' +
    'the old one is spent.',
  tags: ['sessions'],
  security: [{ bearer: [] }],
  body: Fields(
    { password: Type.Optional(Password), ...PresentedFactor, refresh_in: Type.Optional(RefreshIn) },
    { examples: [{ totp: '492039' }, { password: example.password }] },
  ),
  response: { 200: TokenResponse, ...ownErrorResponses({ 401: wrongFactor }, 429) },
}
