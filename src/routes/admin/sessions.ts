import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { ListSessionsOf, RevokeSession, RevokeSessionsOf } from '../../../schemas/admin/sessions.js'
import { refusal } from '../../errors.js'
import { sessionBody } from '../session-body.js'
import { type AdminNeeds, requireAdmin } from './guard.js'

/** `GET` and `DELETE /admin/sessions?sub=`, `DELETE /admin/sessions/:sid?sub=`: the sessions of an account. */
export const sessionsRoutes: FastifyPluginAsyncTypebox<AdminNeeds> = async (app, needs) => {
  const { users, sessions, audit } = needs

  app.get('/admin/sessions', { schema: ListSessionsOf, attachValidation: true }, async (request) => {
    await requireAdmin(request, needs)
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

  app.delete('/admin/sessions', { schema: RevokeSessionsOf, attachValidation: true }, async (request, reply) => {
    const by = await requireAdmin(request, needs)
    const { sub } = request.query

    const sids = await sessions.endAll(sub)
    audit(request, { event: 'session.ended', sub, sids, reason: 'ended_by_admin', by })
    return reply.code(204).send(null)
  })

  app.delete('/admin/sessions/:sid', { schema: RevokeSession, attachValidation: true }, async (request, reply) => {
    const by = await requireAdmin(request, needs)
    const { sid } = request.params
    const { sub } = request.query

    const sids = await sessions.end(sub, [sid])
    audit(request, { event: 'session.ended', sub, sids, reason: 'ended_by_admin', by })
    return reply.code(204).send(null)
  })
}
