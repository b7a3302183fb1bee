import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { EndOtherSessions, EndSession, ListSessions } from '../../schemas/sessions.js'
import type { Audit } from '../audit.js'
import { callingPerson } from './guards/caller.js'
import { type LiveTokenDependencies, requirePerson } from './guards/live-token.js'
import { sessionBody } from './responses/session.js'

interface Dependencies extends LiveTokenDependencies {
  audit: Audit
}

/** `GET /sessions`, `DELETE /sessions/:sid`, `DELETE /sessions?except=current`: a person lists and ends their sessions. */
export const sessionRoutes: FastifyPluginAsyncTypebox<Dependencies> = async (app, dependencies) => {
  const { sessions, audit } = dependencies
  const preValidation = requirePerson(dependencies)

  app.get('/sessions', { schema: ListSessions, preValidation }, async (request, reply) => {
    const caller = callingPerson(request)
    const living = await sessions.list(caller.sub)
    return reply.header('cache-control', 'no-store').send({
      sessions: living.map((session) => ({
        ...sessionBody(session),
        current: session.sid === caller.sid,
      })),
    })
  })

  app.delete('/sessions/:sid', { schema: EndSession, preValidation }, async (request, reply) => {
    const caller = callingPerson(request)

    const sids = await sessions.revoke(caller.sub, [request.params.sid])
    audit(request, { event: 'session.ended', sub: caller.sub, sids, reason: 'ended_by_user' })
    return reply.code(204).send(null)
  })

  app.delete('/sessions', { schema: EndOtherSessions, preValidation }, async (request, reply) => {
    const caller = callingPerson(request)

    const sids = await sessions.revokeAll(caller.sub, caller.sid)
    audit(request, { event: 'session.ended', sub: caller.sub, sids, reason: 'ended_by_user' })
    return reply.code(204).send(null)
  })
}
