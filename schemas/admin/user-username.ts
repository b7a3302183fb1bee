import { commonErrorResponses } from '../error.js'
import { example, Username } from '../fields.js'
import { Type } from '../typebox.js'
import { AdminBody, adminRoute, User, UserParams, userExample } from './fields.js'

/** `PUT /admin/users/:id/username` */
export const RenameUser = {
  summary: 'Rename an account',
  description: 'Its sessions go on, and introspection shows the new name. Its `sub` stays the same.',
  ...adminRoute,
  params: UserParams,
  body: AdminBody({ username: Username }, { examples: [{ username: example.username }] }),
  response: {
    200: Type.Object(User.properties, { description: 'The account', examples: [userExample] }),
    ...commonErrorResponses(401, 403, 404, 409),
  },
}
