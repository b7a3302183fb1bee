import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { LogoutAll } from '../../schemas/logout.js'
import type { Audit } from '../audit.js'
import { refusal } from '../errors.js'
import type { RefreshTokens } from '../sessions/refresh-token.js'
import type { SessionStore } from '../sessions/session.js'
import type { AccessTokens } from '../tokens/access-tokens.js'
import { presentedToken } from './bearer.js'

interface Needs {
  sessions: SessionStore
  tokens: AccessTokens
  refreshTokens: RefreshTokens
  audit: Audit
}

/**
 * `POST /logout-all`: ends every session of the user. A refresh token that has been rotated will do while its session
 * lives: either its holder missed an answer, or it was stolen, and then this is what should happen.
 */
export const logoutAll: FastifyPluginAsyncTypebox<Needs> = async (app, { sessions, tokens, refreshTokens, audit }) => {
  app.post('/logout-all', { schema: LogoutAll }, async (request, reply) => {
    const token = presentedToken(request, request.body.token)
    if (token === undefined) throw refusal.missingToken()

    const { sub, sid } = refreshTokens.read(token) ?? tokens.check(token).claims ?? {}
    if (sub === undefined || sid === undefined) throw refusal.invalidToken()
    if ((await sessions.holder(sub, sid)) === undefined) throw refusal.invalidToken()

    // The session that asks goes last: if Redis is away meanwhile, it can ask again.
    const others = await sessions.endAll(sub, sid)
    const sids = [...others, ...(await sessions.end(sub, [sid]))]
    audit(request, { event: 'session.ended', sub, sids, reason: 'logout_all' })
    return reply.code(204).send(null)
  })
}
