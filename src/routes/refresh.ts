import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Refresh } from '../../schemas/refresh.js'
import type { Audit } from '../audit.js'
import { refusal } from '../errors.js'
import type { RefreshTokens } from '../sessions/refresh-token.js'
import type { SessionStore } from '../sessions/session.js'
import type { AccessTokens } from '../tokens/access-tokens.js'
import { presentedToken } from './bearer.js'
import { tokenAnswer } from './token-answer.js'

interface Needs {
  sessions: SessionStore
  tokens: AccessTokens
  refreshTokens: RefreshTokens
  audit: Audit
}

/** `POST /refresh`: exactly-once rotation (RFC 6749 §6, RFC 9700 §4.14.2). Every refusal looks the same. */
export const refresh: FastifyPluginAsyncTypebox<Needs> = async (app, needs) => {
  const { sessions, refreshTokens, audit } = needs

  app.post('/refresh', { schema: Refresh }, async (request, reply) => {
    if ((request.body.grant_type ?? 'refresh_token') !== 'refresh_token') throw refusal.unsupportedGrantType()
    const token = presentedToken(request, request.body.refresh_token)
    if (token === undefined) throw refusal.invalidRequest('refresh_token is missing')

    const grant = refreshTokens.read(token)
    if (!grant) {
      audit(request, { event: 'refresh.refused', reason: 'forged' })
      throw refusal.invalidGrant()
    }
    const { sub, sid, generation } = grant

    const rotation = await sessions.rotate(sub, sid, generation)
    switch (rotation.outcome) {
      case 'rotated':
        audit(request, { event: 'refresh.rotated', sub, sid, generation })
        return reply.header('cache-control', 'no-store').send(tokenAnswer(rotation.session, needs))
      case 'replayed':
        audit(request, { event: 'refresh.replayed', sub, sid, generation })
        return reply.header('cache-control', 'no-store').send(tokenAnswer(rotation.session, needs, rotation.age))
      case 'reused': {
        const sids = await sessions.end(sub, [sid])
        // Of many that present it at once, the one that ended the session tells of it.
        if (sids.length > 0) audit(request, { event: 'refresh.reused', sub, sid, generation })
        audit(request, { event: 'session.ended', sub, sids, reason: 'reuse' })
        throw refusal.invalidGrant()
      }
      case 'unknown':
        audit(request, { event: 'refresh.refused', reason: 'session_ended', sub, sid })
        throw refusal.invalidGrant()
    }
  })
}
