import { commonErrorResponses } from './error.js'
import { example, Fields, Password, Time, Username } from './fields.js'
import { Type } from './typebox.js'

/** `POST /users` */
export const SignUp = {
  summary: 'Sign up',
  description: 'Everybody may sign up while `SIGNUP=open`.',
  tags: ['users'],
  body: Fields(
    { username: Username, password: Password },
    { examples: [{ username: example.username, password: example.password }] },
  ),
  response: {
    201: Type.Object(
      { id: Type.String({ description: 'The `sub` of its tokens' }), username: Type.String(), created_at: Time },
      {
        description: 'The account',
        examples: [{ id: example.user, username: example.username, created_at: example.time }],
      },
    ),
    ...commonErrorResponses(404, 409, 429),
  },
}
