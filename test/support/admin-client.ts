import { type Answer, type Api, basicAuthorization, type Call } from './api.js'

/** Calls routes below `/admin` with the service's own client, which has the scope admin. */
export function adminClient(api: Api) {
  return (method: string, path: string, call: Call = {}): Promise<Answer> =>
    api.call(`/admin${path}`, { method, ...call, headers: { ...basicAuthorization(api.client), ...call.headers } })
}

export const UNKNOWN_USER_ID = '00000000-0000-4000-8000-000000000000'
/** Every route below /admin. A test compares this list with the OpenAPI document. */
export const ADMIN_ROUTES: [method: string, path: string][] = [
  ['GET', '/admin/users'],
  ['POST', '/admin/users'],
  ['GET', `/admin/users/${UNKNOWN_USER_ID}`],
  ['DELETE', `/admin/users/${UNKNOWN_USER_ID}`],
  ['POST', `/admin/users/${UNKNOWN_USER_ID}/disable`],
  ['POST', `/admin/users/${UNKNOWN_USER_ID}/enable`],
  ['POST', `/admin/users/${UNKNOWN_USER_ID}/password`],
  ['PUT', `/admin/users/${UNKNOWN_USER_ID}/roles`],
  ['PUT', `/admin/users/${UNKNOWN_USER_ID}/username`],
  ['PUT', `/admin/users/${UNKNOWN_USER_ID}/claims`],
  ['PUT', `/admin/users/${UNKNOWN_USER_ID}/mfa`],
  ['GET', `/admin/users/${UNKNOWN_USER_ID}/factors`],
  ['DELETE', `/admin/users/${UNKNOWN_USER_ID}/factors`],
  ['GET', '/admin/clients'],
  ['POST', '/admin/clients'],
  ['GET', '/admin/clients/nobody'],
  ['PATCH', '/admin/clients/nobody'],
  ['DELETE', '/admin/clients/nobody'],
  ['POST', '/admin/clients/nobody/secret'],
  ['GET', '/admin/issuers'],
  ['POST', '/admin/issuers'],
  ['GET', '/admin/issuers/nobody'],
  ['DELETE', '/admin/issuers/nobody'],
  ['GET', '/admin/now'],
  ['GET', '/admin/activity'],
  ['GET', '/admin/keys'],
  ['GET', `/admin/sessions?sub=${UNKNOWN_USER_ID}`],
  ['DELETE', `/admin/sessions?sub=${UNKNOWN_USER_ID}`],
  ['DELETE', `/admin/sessions/9f8Hn1VnTz2cUWl0q3yJ8A?sub=${UNKNOWN_USER_ID}`],
]
