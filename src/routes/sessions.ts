import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { EndOtherSessions, EndSession, ListSessions } from '../../schemas/sessions.js'
import type { Audit } from '../audit.js'
import { requireValid } from './bearer.js'
import { type LiveTokenNeeds, requirePerson } from './live-token.js'
import { sessionBody } from './session-body.js'

interface Needs extends LiveTokenNeeds {
  audit: Audit
}

/** `GET /sessions`, `DELETE /sessions/:sid`, `DELETE /sessions?except=current`: a person sees and ends their sessions. */
export const sessionRoutes: FastifyPluginAsyncTypebox<Needs> = async (app, needs) => {
  const { sessions, audit } = needs

  app.get('/sessions', { schema: ListSessions }, async (request, reply) => {
    const caller = await requirePerson(request, needs)

    const living = await sessions.list(caller.sub)
    return reply.header('cache-control', 'no-store').send({
      sessions: living.map((session) => ({
        ...sessionBody(session),
        current: session.sid === caller.sid,
      })),
    })
  })

  app.delete('/sessions/:sid', { schema: EndSession, attachValidation: true }, async (request, reply) => {
    const caller = await requirePerson(request, needs)
    requireValid(request)

    const sids = await sessions.end(caller.sub, [request.params.sid])
    audit(request, { event: 'session.ended', sub: caller.sub, sids, reason: 'ended_by_user' })
    return reply.code(204).send(null)
  })

  app.delete('/sessions', { schema: EndOtherSessions, attachValidation: true }, async (request, reply) => {
    const caller = await requirePerson(request, needs)
    requireValid(request)

    const sids = await sessions.endAll(caller.sub, caller.sid)
    audit(request, { event: 'session.ended', sub: caller.sub, sids, reason: 'ended_by_user' })
    return reply.code(204).send(null)
  })
}
