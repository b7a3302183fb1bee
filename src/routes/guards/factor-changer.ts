import { meetsAuthentication } from '@latchkey/verifier/access-token'
import type { FastifyRequest } from 'fastify'
import type { Factors } from '../../factors/factor.js'
import { refusal } from '../../http/errors.js'
import type { Tickets } from '../../tickets/tickets.js'
import type { User, Users } from '../../users/users.js'
import { bearerToken } from './bearer.js'
import type { FactorChanger } from './caller.js'
import { type LiveTokenDependencies, requireLiveToken, requireOwnToken } from './live-token.js'

export interface FactorChangerDependencies extends LiveTokenDependencies {
  users: Users
  factors: Factors
  tickets: Tickets
}

/** Seconds. A stolen access token cannot enrol a factor of the thief, unless it is that new. */
const MAX_AGE = 300

/**
 * `preValidation` hook: the person signed in or stepped up at most 5 minutes ago. Otherwise the answer is 401 with the challenge
 * of RFC 9470. An account with a second factor must have proved one: a thief of a token and a password removes nothing.
 *
 * @param enrolment whether the `mfa_token` of an account that must enrol its first factor will do too
 */
export function requireFactorChanger(
  dependencies: FactorChangerDependencies,
  enrolment: 'also enrolment' | 'sessions only',
): (request: FastifyRequest) => Promise<void> {
  return async (request) => {
    const ticket =
      enrolment === 'also enrolment' ? dependencies.tickets.read('enrolment', bearerToken(request) ?? '') : undefined
    request.changer = ticket ? await enrolling(ticket) : await recentlyAuthenticated(request)
  }

  async function enrolling(ticket: FactorChanger['ticket'] & object): Promise<FactorChanger> {
    const user = await dependencies.users.find(ticket.sub)
    const isCurrent =
      user &&
      !user.disabled &&
      user.factors === 0 &&
      user.passwordVersion === ticket.passwordVersion &&
      user.factorsVersion === ticket.factorsVersion
    if (!isCurrent) throw refusal.invalidToken()
    return { user, ticket }
  }

  async function recentlyAuthenticated(request: FastifyRequest): Promise<FactorChanger> {
    const { claims } = await requireLiveToken(request, dependencies)
    const { sub, sid, auth_time: authTime = 0 } = claims
    if (sid === undefined) throw refusal.invalidToken()
    requireOwnToken(claims, dependencies.tokens)
    const user = await dependencies.users.find(sub)
    if (!user) throw refusal.invalidToken()
    const demand = { maxAge: MAX_AGE, ...((await hadFactorAt(user, authTime)) && { acr: '2' as const }) }
    if (!meetsAuthentication(claims, demand, Date.now())) throw refusal.insufficientAuthentication(demand)
    return { user, sid }
  }

  /** Whether the account had a factor when its person authenticated. The session that enrols the first one had none yet. */
  async function hadFactorAt(user: User, authTime: number): Promise<boolean> {
    if (user.factors === 0) return false
    const { factors } = await dependencies.factors.list(user.id)
    return factors.some(({ createdAt }) => createdAt < authTime * 1000)
  }
}
