import type { FastifyRequest } from 'fastify'
import type { Audit } from '../audit.js'
import { readClientCredentials } from '../clients/client-authentication.js'
import type { Client, Clients } from '../clients/clients.js'
import { refusal } from '../errors.js'

/** Guard: the client that calls, with this scope; or 401, or 403. */
export async function requireClient(
  request: FastifyRequest,
  scope: string,
  { clients, audit }: { clients: Clients; audit: Audit },
): Promise<Client> {
  const { authorization } = request.headers
  for (const credentials of readClientCredentials({ authorization, body: request.body })) {
    const client = await clients.authenticate(credentials)
    if (!client) continue
    if (!client.scopes.has(scope)) throw refusal.insufficientScope(scope)
    return client
  }
  audit(request, { event: 'client.refused' })
  throw refusal.invalidClient()
}
