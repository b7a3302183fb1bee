import { commonErrorResponses } from '../error.js'
import { Type } from '../typebox.js'
import { AdminBody, adminRoute, Roles, UserParams } from './fields.js'

/** `PUT /admin/users/:id/roles` */
export const SetRoles = {
  summary: 'Set the roles of an account',
  description:
    'The list replaces all roles. Sessions with a removed role end. An added role appears in the tokens after the next ' +
    'sign-in.',
  ...adminRoute,
  params: UserParams,
  body: AdminBody({ roles: Roles }, { examples: [{ roles: 'editor reviewer' }] }),
  response: { 204: Type.Null({ description: 'Done' }), ...commonErrorResponses(401, 403, 404) },
}
