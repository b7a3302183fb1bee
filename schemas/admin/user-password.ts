import { commonErrorResponses } from '../error.js'
import { example, Password } from '../fields.js'
import { Type } from '../typebox.js'
import { AdminBody, adminRoute, PasswordHash, UserParams } from './fields.js'

/** `POST /admin/users/:id/password` */
export const ResetPassword = {
  summary: 'Reset the password of an account',
  description: 'Send a password, or its hash from another system. Every session of the account ends.',
  ...adminRoute,
  params: UserParams,
  body: AdminBody(
    { password: Type.Optional(Password), password_hash: Type.Optional(PasswordHash) },
    { examples: [{ password: example.password }, { password_hash: example.passwordHash }] },
  ),
  response: { 204: Type.Null({ description: 'Done' }), ...commonErrorResponses(401, 403, 404) },
}
