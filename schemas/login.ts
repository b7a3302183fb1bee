import { Type } from 'typebox'
import { refusals } from './error.js'
import { Fields, Password, Scope, Username } from './fields.js'
import { TokenAnswer } from './token-answer.js'

/** `POST /login` */
export const Login = {
  summary: 'Sign in',
  description: 'Begins a session on this device. Unknown user, wrong password and disabled account answer alike.',
  tags: ['sessions'],
  body: Fields({
    username: Username,
    password: Password,
    scope: Type.Optional(Scope),
    audience: Type.Optional(Type.String({ minLength: 1, maxLength: 256, description: 'One of AUDIENCE' })),
    device_name: Type.Optional(
      // No control characters: it is shown in lists, and Postgres refuses a NUL.
      Type.String({ minLength: 1, maxLength: 100, pattern: '^\\P{Cc}*$', examples: ["Ada's phone"] }),
    ),
  }),
  response: { 200: TokenAnswer, ...refusals(401, 429) },
}
