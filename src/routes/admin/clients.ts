import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { CreateClient, ListClients } from '../../../schemas/admin/clients.js'
import { generateClientSecret, isClientId, type ListedClient } from '../../clients/clients.js'
import { refusal } from '../../http/errors.js'
import { createClient } from '../../lifecycle/clients.js'
import { callingClient } from '../guards/caller.js'
import type { AdminDependencies } from './dependencies.js'
import { parseList } from './parse-list.js'

/** `GET /admin/clients`, `POST /admin/clients`: list and create clients. */
export const clientsRoutes: FastifyPluginAsyncTypebox<AdminDependencies> = async (app, dependencies) => {
  const { clients, audit } = dependencies

  app.get('/admin/clients', { schema: ListClients }, async () => {
    return { clients: (await clients.list()).map(clientBody) }
  })

  app.post('/admin/clients', { schema: CreateClient }, async (request, reply) => {
    const { id: by } = callingClient(request)
    const { id } = request.body
    if (!isClientId(id))
      throw refusal.invalidRequest('id must not be latchkey, which is the service itself: choose another')
    const [scopes, audiences] = [parseList(request.body.scopes), parseList(request.body.audiences)]
    const exchangeAudiences = parseList(request.body.exchange_audiences)
    const secret = generateClientSecret()

    const permissions = { scopes, audiences, exchangeAudiences }
    if (!(await createClient(dependencies, { id, secret }, permissions))) throw refusal.clientIdTaken()
    audit(request, { event: 'client.created', client: id, ...permissions, by })
    const client = await clients.read(id)
    // Another administrator may have deleted the client just now.
    if (!client) throw refusal.unavailable()
    return reply.code(201).send({ ...clientBody(client), secret })
  })
}

export function clientBody({ id, scopes, audiences, exchangeAudiences, createdAt, previousSecretUntil }: ListedClient) {
  return {
    id,
    scopes: [...scopes],
    audiences: [...audiences],
    exchange_audiences: [...exchangeAudiences],
    created_at: Math.floor(createdAt / 1000),
    previous_secret_until: previousSecretUntil === undefined ? null : Math.floor(previousSecretUntil / 1000),
  }
}
