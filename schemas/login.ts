import { Type } from 'typebox'
import { refusals } from './error.js'
import { example, Fields, Password, Scope, Username } from './fields.js'
import { TokenResponse } from './token-response.js'

/** `POST /login` */
export const Login = {
  summary: 'Sign in',
  description:
    'Begins a session on this device. Unknown user, wrong password and disabled account answer alike. Where a client sends ' +
    'its credentials as well, the session is that client’s.',
  tags: ['sessions'],
  body: Fields(
    {
      username: Username,
      password: Password,
      scope: Type.Optional(Scope),
      audience: Type.Optional(
        Type.String({
          minLength: 1,
          maxLength: 256,
          description: 'One of `AUDIENCE`, or `ISSUER`; the first if left out',
        }),
      ),
      device_name: Type.Optional(
        // No control characters: it is shown in lists, and Postgres refuses a NUL.
        Type.String({ minLength: 1, maxLength: 100, pattern: '^\\P{Cc}*$', description: 'Shown at `GET /sessions`' }),
      ),
    },
    {
      examples: [
        { username: example.username, password: example.password, scope: example.scope, device_name: example.device },
      ],
    },
  ),
  response: { 200: TokenResponse, ...refusals(401, 429) },
}
