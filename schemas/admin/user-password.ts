import { Type } from 'typebox'
import { refusals } from '../error.js'
import { example, Password } from '../fields.js'
import { AdminBody, byAdmin, PasswordHash, UserParams } from './fields.js'

/** `POST /admin/users/:id/password` */
export const ResetPassword = {
  summary: 'Reset the password of an account',
  description: 'Every session of it ends. With a password, or with the hash that another system has of it.',
  ...byAdmin,
  params: UserParams,
  body: AdminBody(
    { password: Type.Optional(Password), password_hash: Type.Optional(PasswordHash) },
    { examples: [{ password: example.password }, { password_hash: example.passwordHash }] },
  ),
  response: { 204: Type.Null({ description: 'Done' }), ...refusals(401, 403, 404) },
}
