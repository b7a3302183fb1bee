import { commonErrorResponses, readErrorResponses } from '../error.js'
import { Type } from '../typebox.js'
import { adminRoute, CredentialsOnly, User, UserParams, userExample } from './fields.js'

const done = Type.Null({ description: 'Done' })

/** `GET /admin/users/:id` */
export const ReadUser = {
  summary: 'Read an account',
  ...adminRoute,
  params: UserParams,
  response: {
    200: Type.Object(User.properties, { description: 'The account', examples: [userExample] }),
    ...readErrorResponses(401, 403, 404),
  },
}

/** `DELETE /admin/users/:id` */
export const DeleteUser = {
  summary: 'Delete an account',
  description: 'Its sessions end. You cannot undo this.',
  ...adminRoute,
  params: UserParams,
  body: CredentialsOnly,
  response: { 204: done, ...commonErrorResponses(401, 403, 404) },
}

/** `POST /admin/users/:id/disable` */
export const DisableUser = {
  summary: 'Disable an account',
  description: 'Its sessions end, and it cannot sign in.',
  ...adminRoute,
  params: UserParams,
  body: CredentialsOnly,
  response: { 204: done, ...commonErrorResponses(401, 403, 404) },
}

/** `POST /admin/users/:id/enable` */
export const EnableUser = {
  summary: 'Enable an account again',
  ...adminRoute,
  params: UserParams,
  body: CredentialsOnly,
  response: { 204: done, ...commonErrorResponses(401, 403, 404) },
}
