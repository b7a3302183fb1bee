import { Type } from 'typebox'
import { commonErrorResponses } from './error.js'
import { example, Fields, Password, Resource, Scope, Username } from './fields.js'
import { TokenResponse } from './token-response.js'

/** `POST /login` */
export const Login = {
  summary: 'Sign in',
  description:
    'Begins a session on this device. An unknown user, a wrong password and a disabled account get the same answer. If a ' +
    'client sends its credentials too, the session belongs to this client.',
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
          description: 'One of `AUDIENCE`, or `ISSUER`. Default: the first of `AUDIENCE`',
        }),
      ),
      resource: Type.Optional(Resource),
      device_name: Type.Optional(
        // No control characters, because lists show the name, and Postgres refuses NUL.
        Type.String({ minLength: 1, maxLength: 100, pattern: '^\\P{Cc}*$', description: '`GET /sessions` shows it' }),
      ),
    },
    {
      examples: [
        { username: example.username, password: example.password, scope: example.scope, device_name: example.device },
      ],
    },
  ),
  response: { 200: TokenResponse, ...commonErrorResponses(401, 429) },
}
