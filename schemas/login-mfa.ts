import { ownErrorResponses } from './error.js'
import { endedMfaToken, tooManyCodes, wrongFactor } from './factor-errors.js'
import { Fields, PostedCredentials } from './fields.js'
import { MfaToken, PresentedFactor } from './mfa-required.js'
import { TokenResponse } from './token-response.js'

/** `POST /login/mfa` */
export const LoginMfa = {
  summary: 'Complete a sign-in with a second factor',
  description:
    'Send the `mfa_token` that `/login` answered with 403, and one of `totp`, `recovery_code` and `passkey`. A code and a passkey ' +
    'response are good once. The `mfa_token` is good for 5 minutes and for one sign-in, until the password changes. After five ' +
    'wrong factors the account waits, whatever the address. A client that authenticated at `/login` authenticates here too.',
  tags: ['sessions'],
  body: Fields(
    { mfa_token: MfaToken, ...PresentedFactor, ...PostedCredentials },
    { examples: [{ mfa_token: 'lkt_eyJzdWIiOiI….Kq3N…', totp: '492039' }] },
  ),
  response: { 200: TokenResponse, ...ownErrorResponses({ 400: endedMfaToken, 401: wrongFactor, 429: tooManyCodes }) },
}
