import { Type } from 'typebox'
import { refusals } from './error.js'
import { Fields, Password, Time, Username } from './fields.js'

/** `POST /users` */
export const SignUp = {
  summary: 'Sign up',
  description: 'Open to anyone while `SIGNUP=open`.',
  tags: ['users'],
  body: Fields({ username: Username, password: Password }),
  response: {
    201: Type.Object(
      { id: Type.String(), username: Type.String({ examples: ['ada'] }), created_at: Time },
      { description: 'The account' },
    ),
    ...refusals(404, 409),
  },
}
