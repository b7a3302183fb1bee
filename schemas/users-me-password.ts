import { commonErrorResponses } from './error.js'
import { example, Fields, OWN_AUDIENCE, Password } from './fields.js'
import { Type } from './typebox.js'

/** `POST /users/me/password` */
export const ChangePassword = {
  summary: 'Change the password',
  description: `Ends every other session of the user. After a 503 the password may be the new one, and the sessions may live. Repeat the request then, and after a 401 repeat it with the new password as \`current_password\`. ${OWN_AUDIENCE}`,
  tags: ['users'],
  security: [{ bearer: [] }],
  body: Fields(
    { current_password: Password, new_password: Password },
    { examples: [{ current_password: example.password, new_password: 'seven tame otters hum' }] },
  ),
  response: { 204: Type.Null({ description: 'Changed' }), ...commonErrorResponses(401, 429) },
}
