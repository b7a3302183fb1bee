import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { Logout } from '../../schemas/logout.js'
import type { Audit } from '../audit.js'
import { refusal } from '../errors.js'
import type { RefreshTokens } from '../sessions/refresh-token.js'
import type { SessionStore } from '../sessions/session.js'
import type { AccessTokens } from '../tokens/access-tokens.js'
import { presentedToken } from './bearer.js'

export interface LogoutNeeds {
  sessions: SessionStore
  tokens: AccessTokens
  refreshTokens: RefreshTokens
  audit: Audit
}

/**
 * `POST /logout`: ends the session of a token. Signing out must work whenever the holder wants it, so a token that has
 * expired or been rotated will do; and one that says nothing has nothing to end, which is no error (RFC 7009 §2.2).
 */
export const logout: FastifyPluginAsyncTypebox<LogoutNeeds> = async (app, needs) => {
  app.post('/logout', { schema: Logout }, async (request, reply) => {
    const token = presentedToken(request, request.body.token)
    if (token === undefined) throw refusal.missingToken()

    await endByToken(request, token, needs)
    return reply.code(204).send(null)
  })
}

/** Ends what a token of any age stands for: its session, or where it is a client's own, those up to its time of issue. */
export async function endByToken(request: FastifyRequest, token: string, needs: LogoutNeeds): Promise<void> {
  const { sessions, tokens, refreshTokens, audit } = needs
  const claims = tokens.readExpired(token)
  const { sub, sid } = refreshTokens.read(token) ?? claims ?? {}
  if (sub !== undefined && sid !== undefined) {
    const sids = await sessions.end(sub, [sid])
    audit(request, { event: 'session.ended', sub, sids, reason: 'logout' })
  } else if (claims) {
    await sessions.revokeClient(claims.sub, claims.iat)
    audit(request, { event: 'client.tokens_revoked', sub: claims.sub, nbf: claims.iat })
  }
}
