import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { DeleteUser, DisableUser, EnableUser, ReadUser } from '../../../schemas/admin/user.js'
import { refusal } from '../../http/errors.js'
import { deleteAccount, disableAccount } from '../../lifecycle/accounts.js'
import { callingAdministrator } from '../guards/caller.js'
import { userBody } from '../responses/user.js'
import type { AdminDependencies } from './dependencies.js'

/** `GET` and `DELETE /admin/users/:id`, `POST /admin/users/:id/disable` and `…/enable`: one account. */
export const userRoutes: FastifyPluginAsyncTypebox<AdminDependencies> = async (app, dependencies) => {
  const { users, sessions, audit } = dependencies

  app.get('/admin/users/:id', { schema: ReadUser }, async (request) => {
    const user = await users.find(request.params.id)
    if (!user) throw refusal.noSuch('account')
    return userBody(user)
  })

  app.post('/admin/users/:id/disable', { schema: DisableUser }, async (request, reply) => {
    const { id: by } = callingAdministrator(request)
    const { id: sub } = request.params

    const sids = await disableAccount(dependencies, sub, () => audit(request, { event: 'user.disabled', sub, by }))
    if (!sids) throw refusal.noSuch('account')
    audit(request, { event: 'session.ended', sub, sids, reason: 'user_disabled', by })
    return reply.code(204).send(null)
  })

  app.post('/admin/users/:id/enable', { schema: EnableUser }, async (request, reply) => {
    const { id: by } = callingAdministrator(request)
    const { id: sub } = request.params

    if (!(await users.enable(sub))) throw refusal.noSuch('account')
    audit(request, { event: 'user.enabled', sub, by })
    return reply.code(204).send(null)
  })

  app.delete('/admin/users/:id', { schema: DeleteUser }, async (request, reply) => {
    const { id: by } = callingAdministrator(request)
    const { id: sub } = request.params

    const endSessions = async () => {
      const sids = await sessions.revokeAll(sub)
      audit(request, { event: 'session.ended', sub, sids, reason: 'user_deleted', by })
    }
    const onDisabledOnly = () => audit(request, { event: 'user.disabled', sub, by })
    const isDeleted = await deleteAccount(users, sub, endSessions, onDisabledOnly)
    if (!isDeleted) throw refusal.noSuch('account')
    audit(request, { event: 'user.deleted', sub, by })
    return reply.code(204).send(null)
  })
}
