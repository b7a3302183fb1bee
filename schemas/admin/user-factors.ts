import { commonErrorResponses, readErrorResponses } from '../error.js'
import { Type } from '../typebox.js'
import { FactorList } from '../users-me-factors.js'
import { AdminBody, adminRoute, CredentialsOnly, UserParams } from './fields.js'

const done = Type.Null({ description: 'Done' })

/** `GET /admin/users/:id/factors` */
export const ListFactorsOf = {
  summary: 'List the second factors of an account',
  ...adminRoute,
  params: UserParams,
  response: { 200: FactorList, ...readErrorResponses(401, 403, 404) },
}

/** `DELETE /admin/users/:id/factors` */
export const ResetFactors = {
  summary: 'Remove every second factor of an account',
  description: 'For a person who lost them. The recovery codes go too, and every session ends.',
  ...adminRoute,
  params: UserParams,
  body: CredentialsOnly,
  response: { 204: done, ...commonErrorResponses(401, 403, 404) },
}

/** `PUT /admin/users/:id/mfa` */
export const RequireMfa = {
  summary: 'Say whether an account must sign in with two factors',
  description: 'When it must, each session with one factor ends. `MFA=required` says so for all accounts.',
  ...adminRoute,
  params: UserParams,
  body: AdminBody({ required: Type.Boolean() }, { examples: [{ required: true }] }),
  response: { 204: done, ...commonErrorResponses(401, 403, 404) },
}
