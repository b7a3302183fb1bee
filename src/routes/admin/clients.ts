import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { CreateClient, ListClients } from '../../../schemas/admin/clients.js'
import { generateClientSecret, isClientId } from '../../clients/clients.js'
import { refusal } from '../../http/errors.js'
import { createClient } from '../../lifecycle/clients.js'
import { callingAdministrator } from '../guards/caller.js'
import { parseProof, refuseBinding } from '../requests/client-proof.js'
import { parseList } from '../requests/list.js'
import { clientBody } from '../responses/client.js'
import type { AdminDependencies } from './dependencies.js'

/** `GET /admin/clients`, `POST /admin/clients`: list and create clients. */
export const clientsRoutes: FastifyPluginAsyncTypebox<AdminDependencies> = async (app, dependencies) => {
  const { clients, production, audit } = dependencies

  app.get('/admin/clients', { schema: ListClients }, async () => {
    return { clients: (await clients.list()).map(clientBody) }
  })

  app.post('/admin/clients', { schema: CreateClient }, async (request, reply) => {
    const { id: by } = callingAdministrator(request)
    const { id } = request.body
    if (!isClientId(id))
      throw refusal.invalidRequest('id must not be latchkey, which is the service itself: choose another')
    const [scopes, audiences] = [parseList(request.body.scopes), parseList(request.body.audiences)]
    const permissions = { scopes, audiences, exchangeAudiences: parseList(request.body.exchange_audiences) }
    const { jwks, jwksUri, binding } = parseProof({ ...request.body }, production)
    const hasProof = jwks != null || jwksUri != null || binding != null
    if (!hasProof && request.body.secret === false) {
      throw refusal.invalidRequest('the client could not authenticate: send jwks, jwks_uri, or issuer and subject')
    }
    const secret = (request.body.secret ?? !hasProof) ? generateClientSecret() : undefined

    const outcome = await createClient(
      dependencies,
      {
        id,
        ...(secret !== undefined && { secret }),
        ...(jwks && { jwks }),
        ...(jwksUri && { jwksUri }),
        ...(binding && { binding }),
      },
      permissions,
    )
    if (outcome === 'id_taken') throw refusal.clientIdTaken()
    if (outcome !== 'created') return refuseBinding(outcome)
    audit(request, { event: 'client.created', client: id, ...permissions, by })
    const client = await clients.read(id)
    // Another administrator may have deleted the client just now.
    if (!client) throw refusal.unavailable()
    return reply.code(201).send({ ...clientBody(client), ...(secret !== undefined && { secret }) })
  })
}
