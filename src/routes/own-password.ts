import type { FastifyRequest } from 'fastify'
import type { Audit } from '../audit.js'
import { refusal } from '../errors.js'
import type { Throttle } from '../throttle/throttle.js'
import type { Users } from '../users/users.js'

export interface OwnPasswordNeeds {
  users: Users
  throttle: Throttle
  audit: Audit
}

/**
 * Guard: the person's own password, asked again before what a stolen token must not do. Guesses count together
 * with those at sign-in, over all addresses; what one address has to wait for, each by itself.
 */
export async function requireOwnPassword(
  request: FastifyRequest,
  sub: string,
  password: string,
  { users, throttle, audit }: OwnPasswordNeeds,
): Promise<void> {
  const tried = await throttle.attempt(
    { account: { sub }, at: 'own password', address: request.ip },
    () => users.isPassword(sub, password, request.ip),
    (isRight) => isRight,
  )
  if ('wait' in tried) {
    audit(request, { event: 'user.password_refused', reason: 'throttled', sub })
    throw refusal.tooManyAttempts(tried.wait)
  }
  if (tried.answer) return
  audit(request, { event: 'user.password_refused', reason: 'wrong_password', sub })
  throw refusal.wrongPassword()
}
