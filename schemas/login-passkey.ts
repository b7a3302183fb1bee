import { ownErrorResponses } from './error.js'
import { endedMfaToken, wrongPasskey } from './factor-errors.js'
import { Fields, PostedCredentials, SessionFields } from './fields.js'
import { MfaToken, OpenObject, PasskeyResponse } from './mfa-required.js'
import { TokenResponse } from './token-response.js'
import { Type } from './typebox.js'

/** `PublicKeyCredentialRequestOptionsJSON` of WebAuthn Level 3. */
const RequestOptions = Type.Object(
  {
    challenge: Type.String(),
    rpId: Type.Optional(Type.String()),
    timeout: Type.Optional(Type.Integer()),
    allowCredentials: Type.Optional(Type.Array(OpenObject)),
    userVerification: Type.Optional(Type.String()),
    extensions: Type.Optional(OpenObject),
    hints: Type.Optional(Type.Array(Type.String())),
  },
  {
    description: 'For `navigator.credentials.get()`: `PublicKeyCredentialRequestOptionsJSON`',
    examples: [{ challenge: 'bGt0X2V5Sn…', rpId: 'example.com', timeout: 300_000, userVerification: 'required' }],
  },
)

/** `POST /login/passkey/options` */
export const PasskeyOptions = {
  summary: 'Get the options for a sign-in with a passkey',
  description:
    'The answer is the same for everybody, and the browser offers the accounts that it knows. With the `mfa_token` of a sign-in, ' +
    'or with an access token as the bearer token, it names the passkeys of that account: for `/login/mfa` and `/login/step-up`. ' +
    'The challenge is good once, for 5 minutes.',
  tags: ['sessions'],
  body: Fields({ mfa_token: Type.Optional(MfaToken) }, { examples: [{}] }),
  response: { 200: RequestOptions, ...ownErrorResponses({ 400: endedMfaToken }, 401) },
}

/** `POST /login/passkey` */
export const LoginPasskey = {
  summary: 'Sign in with a passkey alone',
  description:
    'The authenticator must have verified its user, by a PIN or a fingerprint. So the passkey is two factors, and `acr` is 2. If a ' +
    'client sends its credentials too, the session belongs to this client.',
  tags: ['sessions'],
  body: Fields(
    { passkey: PasskeyResponse, ...SessionFields, ...PostedCredentials },
    { examples: [{ passkey: { id: 'AbC…', type: 'public-key', response: {} }, device_name: "Ada's phone" }] },
  ),
  response: { 200: TokenResponse, ...ownErrorResponses({ 401: wrongPasskey }) },
}
