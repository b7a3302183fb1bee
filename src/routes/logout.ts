import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Logout } from '../../schemas/logout.js'
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
 * `POST /logout`: ends the session of a token. Signing out must work whenever the holder wants it, so a token that has
 * expired or been rotated will do; and one that says nothing has nothing to end, which is no error (RFC 7009 §2.2).
 */
export const logout: FastifyPluginAsyncTypebox<Needs> = async (app, { sessions, tokens, refreshTokens, audit }) => {
  app.post('/logout', { schema: Logout }, async (request, reply) => {
    const token = presentedToken(request, request.body.token)
    if (token === undefined) throw refusal.missingToken()

    const session = refreshTokens.read(token) ?? tokens.readExpired(token)
    if (session) {
      const sids = await sessions.end(session.sub, [session.sid])
      audit(request, { event: 'session.ended', sub: session.sub, sids, reason: 'logout' })
    }
    return reply.code(204).send(null)
  })
}
