import { commonErrorResponses } from './error.js'
import { example, Fields, OWN_AUDIENCE, Password } from './fields.js'
import { Type } from './typebox.js'

/** `DELETE /users/me` */
export const DeleteAccount = {
  summary: 'Delete the account',
  description: `Ends every session of the user. After a 503 the account may be disabled and not deleted: an administrator deletes it. ${OWN_AUDIENCE}`,
  tags: ['users'],
  security: [{ bearer: [] }],
  body: Fields({ password: Password }, { examples: [{ password: example.password }] }),
  response: { 204: Type.Null({ description: 'The account is deleted' }), ...commonErrorResponses(401, 429) },
}
