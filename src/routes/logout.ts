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
 * How far ahead of the clock the revocation of a client's own tokens may lie, in seconds: less than the minute for which the feed
 * keeps an entry past the life of a token, or its followers would forget it while the token lives.
 */
const MAX_AHEAD = 30

/**
 * `POST /logout`: ends the session of a token. Signing out must work whenever the holder wants it, so a token that has
 * expired, been rotated, or is not valid yet will do; and one that is not ours has nothing to end, which is no error
 * (RFC 7009 §2.2).
 */
export const logout: FastifyPluginAsyncTypebox<LogoutNeeds> = async (app, needs) => {
  app.post('/logout', { schema: Logout }, async (request, reply) => {
    const token = presentedToken(request, request.body.token)
    if (token === undefined) throw refusal.missingToken()

    if (!(await endByToken(request, token, needs))) throw refusal.unknownKey()
    return reply.code(204).send(null)
  })
}

/**
 * Ends what a token stands for, whatever its time and audience: its session; or, where it is a client's own, that client's
 * tokens up to its time of issue. A token that is not ours has nothing to end.
 *
 * @returns false where the token may be ours and cannot be read here: nothing was ended
 */
export async function endByToken(request: FastifyRequest, token: string, needs: LogoutNeeds): Promise<boolean> {
  const { sessions, tokens, refreshTokens, audit } = needs
  const read = refreshTokens.readForRevocation(token) ?? tokens.readForRevocation(token)
  if (read === undefined) return true
  if (read === 'unknown_key') return false
  const { sub, sid, iat = 0 }: { sub: string; sid?: string; iat?: number } = read
  if (sid !== undefined) {
    const sids = await sessions.end(sub, [sid])
    audit(request, { event: 'session.ended', sub, sids, reason: 'logout' })
    return true
  }
  // Nor does a client get a token that is older than a revocation of its own: it would be shut out until then. A token from
  // further ahead opens nothing now, and can be ended later.
  if (iat > Date.now() / 1000 + MAX_AHEAD) throw refusal.unavailable()
  const isNew = await sessions.revokeClient(sub, iat)
  if (isNew) audit(request, { event: 'client.tokens_revoked', sub, nbf: iat })
  return true
}
