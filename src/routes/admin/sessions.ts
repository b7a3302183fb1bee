import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { ListSessionsOf, RevokeSession, RevokeSessionsOf } from '../../../schemas/admin/sessions.js'
import { refusal } from '../../http/errors.js'
import { callingAdministrator } from '../guards/caller.js'
import { sessionBody } from '../responses/session.js'
import type { AdminDependencies } from './dependencies.js'

/** `GET` and `DELETE /admin/sessions?sub=`, `DELETE /admin/sessions/:sid?sub=`: the sessions of an account. */
export const sessionsRoutes: FastifyPluginAsyncTypebox<AdminDependencies> = async (app, dependencies) => {
  const { users, sessions, audit } = dependencies

  app.get('/admin/sessions', { schema: ListSessionsOf }, async (request) => {
    const { sub } = request.query
    if (!(await users.find(sub))) throw refusal.noSuch('account')

    const living = await sessions.list(sub)
    return {
      sessions: living.map((session) => ({
        ...sessionBody(session),
        client_id: session.clientId,
        scope: session.scope,
        roles: session.roles,
      })),
    }
  })

  app.delete('/admin/sessions', { schema: RevokeSessionsOf }, async (request, reply) => {
    const { id: by } = callingAdministrator(request)
    const { sub } = request.query

    const sids = await sessions.revokeAll(sub)
    audit(request, { event: 'session.ended', sub, sids, reason: 'ended_by_admin', by })
    return reply.code(204).send(null)
  })

  app.delete('/admin/sessions/:sid', { schema: RevokeSession }, async (request, reply) => {
    const { id: by } = callingAdministrator(request)
    const { sid } = request.params
    const { sub } = request.query

    const sids = await sessions.revoke(sub, [sid])
    audit(request, { event: 'session.ended', sub, sids, reason: 'ended_by_admin', by })
    return reply.code(204).send(null)
  })
}
