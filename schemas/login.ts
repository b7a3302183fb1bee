import { commonErrorResponses } from './error.js'
import { example, Fields, Password, PostedCredentials, SessionFields, Username } from './fields.js'
import { MfaRequired } from './mfa-required.js'
import { TokenResponse } from './token-response.js'

/** `POST /login` */
export const Login = {
  summary: 'Sign in',
  description:
    'Begins a session on this device. An unknown user, a wrong password and a disabled account get the same answer. If a ' +
    'client sends its credentials too, the session belongs to this client. An account with a second factor gets 403 with an ' +
    '`mfa_token` for `/login/mfa`.',
  tags: ['sessions'],
  body: Fields(
    {
      username: Username,
      password: Password,
      ...SessionFields,
      ...PostedCredentials,
    },
    {
      examples: [
        { username: example.username, password: example.password, scope: example.scope, device_name: example.device },
      ],
    },
  ),
  response: { 200: TokenResponse, ...commonErrorResponses(401, 429), 403: MfaRequired },
}
