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
    // Postgres refuses a NUL in a text, and whoever prints a list of sessions must not be sent escape sequences.
    device_name: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 100,
        pattern: '^[^\\u0000-\\u001f\\u007f-\\u009f]*$',
        examples: ["Ada's phone"],
      }),
    ),
  }),
  response: { 200: TokenAnswer, ...refusals(401) },
}
