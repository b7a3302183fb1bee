import { FIRST_PARTY_CLIENT_ID } from '@latchkey/verifier/access-token'
import type { FastifyRequest } from 'fastify'
import type { TokenResponse } from '../../schemas/token-response.js'
import type { Audit } from '../audit.js'
import { refusal, type WireError } from '../http/errors.js'
import { parseScope } from '../scope.js'
import type { RefreshTokenPayload, RefreshTokens } from '../sessions/refresh-token.js'
import type { SessionStore } from '../sessions/session.js'
import type { AccessTokens } from '../tokens/access-tokens.js'
import type { TokenClaims } from '../users/account-claims.js'
import { type AudienceParameters, requestedAudience } from './requested-audience.js'
import { tokenResponse } from './token-response.js'

export interface RefreshDependencies {
  sessions: SessionStore
  tokens: AccessTokens
  refreshTokens: RefreshTokens
  tokenClaims: TokenClaims
  audit: Audit
}

/** What a refresh may ask of the new access token. */
interface Limits extends AudienceParameters {
  /** A part of the session's scope (RFC 6749 §6). The session keeps its whole scope for later refreshes. */
  scope?: string | undefined
}

/**
 * Redeems a refresh token that `clientId` presents. Returns its successor with a new access token (RFC 6749 §6).
 *
 * @throws `invalid_grant`, the same for every cause. `invalid_scope` or `invalid_target` if the limits exceed the session
 */
export async function redeemRefreshToken(
  request: FastifyRequest,
  token: string,
  clientId: string,
  dependencies: RefreshDependencies,
  limits: Limits,
): Promise<TokenResponse> {
  const { sessions, refreshTokens, tokenClaims, audit } = dependencies
  const { scope } = limits
  const payload = refreshTokens.read(token)
  if (!payload) {
    audit(request, { event: 'refresh.refused', reason: 'forged' })
    throw refusal.invalidGrant()
  }
  const { sub, sid } = payload
  const excess = await findExcess(payload, clientId, limits, sessions)
  // The token is not spent. An older token goes on to the store, where it changes nothing, but may prove a reuse.
  if (excess && payload.generation >= excess.generation) throw excess.error
  // Read before the rotation: when the database is down, the refresh token is not spent.
  const accountClaims = await tokenClaims.find(sub)
  const issued = { accountClaims, ...(scope !== undefined && { scope }) }

  const rotation = await sessions.rotate(payload, clientId)
  switch (rotation.outcome) {
    case 'rotated':
      audit(request, { event: 'refresh.rotated', ...payload })
      return tokenResponse({ ...rotation.session, ...issued }, dependencies)
    case 'replayed':
      if (excess) throw excess.error
      audit(request, { event: 'refresh.replayed', ...payload })
      return tokenResponse({ ...rotation.session, ...issued }, dependencies, rotation.age)
    case 'reused': {
      const reused = { event: 'refresh.reused', ...payload, successor: rotation.successor } as const
      let sids: string[]
      try {
        sids = await sessions.revoke(sub, [sid])
      } catch (error) {
        // The session may have ended although the store did not answer. Then no other request would log the reuse. Two log
        // lines are better than none.
        audit(request, reused)
        throw error
      }
      // Many requests may present the token at once. Only the request that ended the session logs the reuse.
      if (sids.length > 0) audit(request, reused)
      audit(request, { event: 'session.ended', sub, sids, reason: 'reuse' })
      throw refusal.invalidGrant()
    }
    case 'unknown':
      // An earlier request may have ended the session, but the store did not confirm that replicas have the revocation. After
      // a reuse nobody repeats that request, so this one asks for the confirmation.
      await sessions.confirmRevoked(sub)
      audit(request, { event: 'refresh.refused', reason: 'no_such_session', sub, sid })
      throw refusal.invalidGrant()
  }
}

/** A request that asks for more than the session has. */
interface Excess {
  error: WireError
  /** The generation of the session's current refresh token. */
  generation: number
}

/**
 * Compares the limits with the session before the token is spent. Undefined for a session of another client: its rotation then
 * answers that the session is unknown.
 */
async function findExcess(
  { sub, sid }: RefreshTokenPayload,
  clientId: string,
  { scope, ...target }: Limits,
  sessions: SessionStore,
): Promise<Excess | undefined> {
  const audience = requestedAudience(target)
  if (scope === undefined && audience === undefined) return undefined
  const session = (await sessions.list(sub)).find((each) => each.sid === sid)
  if (!session || (session.clientId !== clientId && session.clientId !== FIRST_PARTY_CLIENT_ID)) return undefined
  const { generation } = session
  const granted = parseScope(session.scope)
  if (scope !== undefined && !parseScope(scope).every((item) => granted.includes(item))) {
    return { generation, error: refusal.invalidScope('scope asks for more than the session has: sign in again') }
  }
  // A session has one audience: another audience needs another sign-in.
  if (audience !== undefined && audience !== session.audience) return { generation, error: refusal.otherAudience() }
  return undefined
}
