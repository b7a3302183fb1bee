import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { Refresh } from '../../schemas/refresh.js'
import type { TokenAnswer } from '../../schemas/token-answer.js'
import type { Audit } from '../audit.js'
import { refusal } from '../errors.js'
import type { RefreshGrant, RefreshTokens } from '../sessions/refresh-token.js'
import { FIRST_PARTY, type SessionStore } from '../sessions/session.js'
import type { AccessTokens } from '../tokens/access-tokens.js'
import { presentedToken } from './bearer.js'
import { refuseIgnoredLimits } from './parameters.js'
import { tokenAnswer } from './token-answer.js'

export interface RefreshNeeds {
  sessions: SessionStore
  tokens: AccessTokens
  refreshTokens: RefreshTokens
  audit: Audit
}

/** `POST /refresh`: exactly-once rotation (RFC 6749 §6, RFC 9700 §4.14.2). Every refusal looks the same. */
export const refresh: FastifyPluginAsyncTypebox<RefreshNeeds> = async (app, needs) => {
  app.post('/refresh', { schema: Refresh }, async (request, reply) => {
    refuseIgnoredLimits(request)
    if ((request.body.grant_type ?? 'refresh_token') !== 'refresh_token') {
      throw refusal.unsupportedGrantType('refresh_token, or left out')
    }
    const token = presentedToken(request, request.body.refresh_token, refusal.invalidGrant)
    if (token === undefined) throw refusal.invalidRequest('refresh_token is missing')

    const answer = await redeemRefreshToken(request, token, FIRST_PARTY, needs, request.body)
    return reply.header('cache-control', 'no-store').send(answer)
  })
}

/** What a refresh may ask of the new access token. */
interface Limits {
  /** A part of the session's (RFC 6749 §6). The session keeps all of it, for later refreshes. */
  scope?: string | undefined
  /** The session's own: another one needs another session. */
  audience?: string | undefined
}

/** The successor of a refresh token that `clientId` presents, with a new access token; or `invalid_grant`. */
export async function redeemRefreshToken(
  request: FastifyRequest,
  token: string,
  clientId: string,
  needs: RefreshNeeds,
  limits: Limits,
): Promise<TokenAnswer> {
  const { sessions, refreshTokens, audit } = needs
  const { scope } = limits
  const grant = refreshTokens.read(token)
  if (!grant) {
    audit(request, { event: 'refresh.refused', reason: 'forged' })
    throw refusal.invalidGrant()
  }
  const { sub, sid } = grant
  await requireWithinSession(grant, clientId, limits, sessions)

  const rotation = await sessions.rotate(grant, clientId)
  switch (rotation.outcome) {
    case 'rotated':
      audit(request, { event: 'refresh.rotated', ...grant })
      return tokenAnswer({ ...rotation.session, ...(scope !== undefined && { scope }) }, needs)
    case 'replayed':
      audit(request, { event: 'refresh.replayed', ...grant })
      return tokenAnswer({ ...rotation.session, ...(scope !== undefined && { scope }) }, needs, rotation.age)
    case 'reused': {
      const reused = { event: 'refresh.reused', ...grant, successor: rotation.successor } as const
      let sids: string[]
      try {
        sids = await sessions.end(sub, [sid])
      } catch (error) {
        // It may have ended all the same, and then nobody else tells of it: better twice than never.
        audit(request, reused)
        throw error
      }
      // Of many that present it at once, the one that ended the session tells of it.
      if (sids.length > 0) audit(request, reused)
      audit(request, { event: 'session.ended', sub, sids, reason: 'reuse' })
      throw refusal.invalidGrant()
    }
    case 'unknown':
      // Its end may be one that has been asked for and not acknowledged: reuse, above all, which nobody asks for again.
      await sessions.end(sub, [])
      audit(request, { event: 'refresh.refused', reason: 'no_such_session', sub, sid })
      throw refusal.invalidGrant()
  }
}

/** Before the token is spent. Of a session that is not the client's nothing is said here: its rotation says that it is unknown. */
async function requireWithinSession(
  { sub, sid }: RefreshGrant,
  clientId: string,
  { scope, audience }: Limits,
  sessions: SessionStore,
): Promise<void> {
  if (scope === undefined && audience === undefined) return
  const session = (await sessions.list(sub)).find((each) => each.sid === sid)
  if (!session || (session.clientId !== clientId && session.clientId !== FIRST_PARTY)) return
  const granted = session.scope.split(' ')
  if (scope && !scope.split(' ').every((item) => granted.includes(item))) {
    throw refusal.invalidScope('scope asks for more than the session has: sign in again')
  }
  if (audience !== undefined && audience !== session.audience) {
    throw refusal.otherAudience()
  }
}
