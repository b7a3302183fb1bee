import type { Answer, Api, Call } from '../api.js'
import { basic } from '../clients.js'

/** Calls below `/admin` as the service's own client, which has the scope admin. */
export function adminOf(api: Api) {
  return (method: string, path: string, call: Call = {}): Promise<Answer> =>
    api.call(`/admin${path}`, { method, ...call, headers: { ...basic(api.client), ...call.headers } })
}
