import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { LogoutAll } from '../../schemas/logout.js'
import type { Audit } from '../audit.js'
import { refusal } from '../http/errors.js'
import type { RefreshTokens } from '../sessions/refresh-token.js'
import type { SessionStore } from '../sessions/session.js'
import type { AccessTokens } from '../tokens/access-tokens.js'
import { presentedToken } from './guards/bearer.js'
import { requireOwnToken } from './guards/live-token.js'

interface Dependencies {
  sessions: SessionStore
  tokens: AccessTokens
  refreshTokens: RefreshTokens
  audit: Audit
}

/**
 * `POST /logout-all`: ends every session of the user. A rotated refresh token works too while its session lives. Either its
 * holder missed an answer, or somebody stole it, and then the sessions should end. An access token must be for this service, as
 * at `/sessions`, because other services see access tokens. They never see a refresh token.
 */
export const logoutAll: FastifyPluginAsyncTypebox<Dependencies> = async (
  app,
  { sessions, tokens, refreshTokens, audit },
) => {
  app.post('/logout-all', { schema: LogoutAll }, async (request, reply) => {
    const token = presentedToken(request, request.body.token)
    if (token === undefined) throw refusal.missingToken()

    const grant = refreshTokens.read(token)
    const { claims } = grant ? {} : tokens.check(token)
    const { sub, sid } = grant ?? claims ?? {}
    if (sub === undefined || sid === undefined) throw refusal.invalidToken()
    if ((await sessions.findUsername(sub, sid)) === undefined) throw refusal.invalidToken()
    if (claims) requireOwnToken(claims, tokens)

    // The calling session ends last, so that the caller can retry when Redis fails in between.
    const others = await sessions.revokeAll(sub, sid)
    const sids = [...others, ...(await sessions.revoke(sub, [sid]))]
    audit(request, { event: 'session.ended', sub, sids, reason: 'logout_all' })
    return reply.code(204).send(null)
  })
}
