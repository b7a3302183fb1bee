import { commonErrorResponses } from '../error.js'
import { Type } from '../typebox.js'
import { AdminBody, adminRoute, Claims, UserParams } from './fields.js'

/** `PUT /admin/users/:id/claims` */
export const SetClaims = {
  summary: 'Set the claims of an account',
  description:
    'The object replaces all claims. Tokens carry those that `ACCOUNT_CLAIMS` names. A living session has the new claims after ' +
    'its next refresh.',
  ...adminRoute,
  params: UserParams,
  body: AdminBody({ claims: Claims }, { examples: [{ claims: { tenant: 'acme', plan: 'gold' } }] }),
  response: { 204: Type.Null({ description: 'Done' }), ...commonErrorResponses(401, 403, 404) },
}
