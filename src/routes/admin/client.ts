import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { ChangeClient, DeleteClient, ReadClient, RotateSecret } from '../../../schemas/admin/client.js'
import { type ClientPermissions, generateClientSecret } from '../../clients/clients.js'
import { duration } from '../../config/duration.js'
import { refusal } from '../../http/errors.js'
import { deleteClient } from '../../lifecycle/clients.js'
import { toUnixSeconds } from '../../unix-seconds.js'
import { callingAdministrator } from '../guards/caller.js'
import { parseProof, refuseBinding } from '../requests/client-proof.js'
import { parseList } from '../requests/list.js'
import { clientBody } from '../responses/client.js'
import type { AdminDependencies } from './dependencies.js'

/** `GET`, `PATCH` and `DELETE /admin/clients/:id`, `POST /admin/clients/:id/secret`: one client. */
export const clientRoutes: FastifyPluginAsyncTypebox<AdminDependencies> = async (app, dependencies) => {
  const { clients, production, audit } = dependencies

  app.get('/admin/clients/:id', { schema: ReadClient }, async (request) => {
    const client = await clients.read(request.params.id)
    if (!client) throw refusal.noSuch('client')
    return clientBody(client)
  })

  app.patch('/admin/clients/:id', { schema: ChangeClient }, async (request) => {
    const { id: by } = callingAdministrator(request)
    const { id } = request.params
    const { scopes, audiences, exchange_audiences: exchangeAudiences, ...proof } = request.body
    const change = parseProof(proof, production)
    const permissions: Partial<ClientPermissions> = {
      ...(scopes !== undefined && { scopes: parseList(scopes) }),
      ...(audiences !== undefined && { audiences: parseList(audiences) }),
      ...(exchangeAudiences !== undefined && { exchangeAudiences: parseList(exchangeAudiences) }),
    }
    const changesProof = Object.keys(change).length > 0
    if (!changesProof && Object.keys(permissions).length === 0) {
      if (!(await clients.read(id))) throw refusal.noSuch('client')
      throw refusal.invalidRequest('nothing to change: send scopes, audiences, exchange_audiences, or a proof')
    }

    const outcome = changesProof ? await clients.changeProof(id, change) : 'unchanged'
    switch (outcome) {
      case 'unknown_client':
        throw refusal.noSuch('client')
      case 'no_proof_left':
        throw refusal.invalidRequest(
          'the client could not authenticate any more: give it a secret, keys or a subject first',
        )
      case 'unknown_issuer':
      case 'subject_taken':
        return refuseBinding(outcome)
      case 'changed':
        audit(request, { event: 'client.proof_changed', client: id, proof: Object.keys(change), by })
        break
      case 'unchanged':
    }
    if (Object.keys(permissions).length > 0) {
      if (!(await clients.changePermissions(id, permissions))) throw refusal.noSuch('client')
      audit(request, { event: 'client.updated', client: id, ...permissions, by })
    }
    const client = await clients.read(id)
    if (!client) throw refusal.noSuch('client')
    return clientBody(client)
  })

  app.post('/admin/clients/:id/secret', { schema: RotateSecret }, async (request) => {
    const { id: by } = callingAdministrator(request)
    const { id } = request.params
    const overlap = duration(request.body.overlap ?? '1d')
    const secret = generateClientSecret()

    const until = await clients.rotateSecret({ id, secret }, overlap)
    if (until === undefined) throw refusal.noSuch('client')
    audit(request, { event: 'client.secret_rotated', client: id, by })
    return { id, secret, previous_secret_until: overlap === 0 || until === 0 ? null : toUnixSeconds(until) }
  })

  app.delete('/admin/clients/:id', { schema: DeleteClient }, async (request, reply) => {
    const { id: by } = callingAdministrator(request)
    const { id } = request.params

    if (!(await deleteClient(dependencies, id))) throw refusal.noSuch('client')
    audit(request, { event: 'client.deleted', client: id, by })
    return reply.code(204).send(null)
  })
}
