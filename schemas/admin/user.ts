import { Type } from 'typebox'
import { refusals } from '../error.js'
import { byAdmin, CredentialsAlone, User, UserParams, userExample } from './fields.js'

const gone = Type.Null({ description: 'Done' })

/** `GET /admin/users/:id` */
export const ReadUser = {
  summary: 'Read an account',
  ...byAdmin,
  params: UserParams,
  response: {
    200: Type.Object(User.properties, { description: 'The account', examples: [userExample] }),
    ...refusals(401, 403, 404),
  },
}

/** `DELETE /admin/users/:id` */
export const DeleteUser = {
  summary: 'Delete an account',
  description: 'Its sessions end. There is no way back.',
  ...byAdmin,
  params: UserParams,
  body: CredentialsAlone,
  response: { 204: gone, ...refusals(401, 403, 404) },
}

/** `POST /admin/users/:id/disable` */
export const DisableUser = {
  summary: 'Disable an account',
  description: 'Its sessions end, and it cannot sign in.',
  ...byAdmin,
  params: UserParams,
  body: CredentialsAlone,
  response: { 204: gone, ...refusals(401, 403, 404) },
}

/** `POST /admin/users/:id/enable` */
export const EnableUser = {
  summary: 'Enable an account again',
  ...byAdmin,
  params: UserParams,
  body: CredentialsAlone,
  response: { 204: gone, ...refusals(401, 403, 404) },
}
