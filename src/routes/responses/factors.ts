import type { FastifyRequest } from 'fastify'
import type { AddedFactorBody } from '../../../schemas/users-me-factors.js'
import type { AddedFactor, Factor } from '../../factors/factor.js'
import type { passkeyMethod, SecondFactorDependencies } from '../../grants/second-factor.js'
import { beginSession, type SignInDependencies } from '../../grants/sign-in.js'
import { refusal } from '../../http/errors.js'
import { toUnixSeconds } from '../../unix-seconds.js'
import type { FactorChanger } from '../guards/caller.js'
import type { FactorChangerDependencies } from '../guards/factor-changer.js'

export type FactorRouteDependencies = FactorChangerDependencies & SignInDependencies & SecondFactorDependencies

/** A factor in the form for its owner and for administrators. */
export function factorBody({ id, type, name, createdAt, lastUsedAt }: Factor) {
  return {
    id,
    type,
    name,
    created_at: toUnixSeconds(createdAt),
    last_used_at: lastUsedAt === undefined ? null : toUnixSeconds(lastUsedAt),
  }
}

/** A thief may have one of the other sessions: each of them must sign in again, with the factors as they are now. */
export async function endOtherSessions(
  request: FastifyRequest,
  { user, sid }: FactorChanger,
  { sessions, audit }: FactorRouteDependencies,
): Promise<void> {
  const sids = await sessions.revokeAll(user.id, sid)
  audit(request, { event: 'session.ended', sub: user.id, sids, reason: 'factors_changed' })
}

/**
 * The answer to a new factor. A sign-in that had to enrol one is complete with it, and gets its tokens.
 *
 * @param method how the person proved the factor (RFC 8176)
 */
export async function addedFactorBody(
  request: FastifyRequest,
  changer: FactorChanger,
  { factor, recoveryCodes }: AddedFactor,
  method: 'otp' | ReturnType<typeof passkeyMethod>,
  dependencies: FactorRouteDependencies,
): Promise<AddedFactorBody> {
  const { user, ticket } = changer
  dependencies.audit(request, { event: 'factor.added', sub: user.id, factor: factor.id, type: factor.type })
  await endOtherSessions(request, changer, dependencies)
  const body = { factor: factorBody(factor), ...(recoveryCodes && { recovery_codes: recoveryCodes }) }
  if (!ticket) return body
  const now = await dependencies.users.find(user.id)
  // Between the change and this query, somebody may have changed the account.
  if (now?.factorsVersion !== ticket.factorsVersion + 1 || now.passwordVersion !== ticket.passwordVersion) {
    throw refusal.accountChanged()
  }
  const tokens = await beginSession(request, now, { ...ticket.session, amr: ['pwd', method, 'mfa'] }, dependencies)
  return { ...body, tokens }
}
