import { Type } from 'typebox'
import { refusals } from '../error.js'
import { AdminBody, byAdmin, Roles, UserParams } from './fields.js'

/** `PUT /admin/users/:id/roles` */
export const SetRoles = {
  summary: 'Set the roles of an account',
  description:
    'All of them: what is not named is taken away. Sessions with a role that was taken away end; what is added stands in ' +
    'the tokens of the next sign-in.',
  ...byAdmin,
  params: UserParams,
  body: AdminBody({ roles: Roles }, { examples: [{ roles: 'editor reviewer' }] }),
  response: { 204: Type.Null({ description: 'Done' }), ...refusals(401, 403, 404) },
}
