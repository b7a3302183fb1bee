import type { Answer, Api, Call } from './api.js'
import { basic } from './clients.js'

/** Calls routes below `/admin` with the service's own client, which has the scope admin. */
export function adminOf(api: Api) {
  return (method: string, path: string, call: Call = {}): Promise<Answer> =>
    api.call(`/admin${path}`, { method, ...call, headers: { ...basic(api.client), ...call.headers } })
}

export const USER = '00000000-0000-4000-8000-000000000000'
/** Every route below /admin. A test compares this list with the OpenAPI document. */
export const ROUTES: [method: string, path: string][] = [
  ['GET', '/admin/users'],
  ['POST', '/admin/users'],
  ['GET', `/admin/users/${USER}`],
  ['DELETE', `/admin/users/${USER}`],
  ['POST', `/admin/users/${USER}/disable`],
  ['POST', `/admin/users/${USER}/enable`],
  ['POST', `/admin/users/${USER}/password`],
  ['PUT', `/admin/users/${USER}/roles`],
  ['GET', '/admin/clients'],
  ['POST', '/admin/clients'],
  ['GET', '/admin/clients/nobody'],
  ['PATCH', '/admin/clients/nobody'],
  ['DELETE', '/admin/clients/nobody'],
  ['POST', '/admin/clients/nobody/secret'],
  ['GET', `/admin/sessions?sub=${USER}`],
  ['DELETE', `/admin/sessions?sub=${USER}`],
  ['DELETE', `/admin/sessions/9f8Hn1VnTz2cUWl0q3yJ8A?sub=${USER}`],
]
