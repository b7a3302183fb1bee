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
 * Guard: the person's own password, asked again before what a stolen token must not do. Guesses are counted as those at
 * sign-in are, under the user's id.
 */
export async function requireOwnPassword(
  request: FastifyRequest,
  sub: string,
  password: string,
  { users, throttle, audit }: OwnPasswordNeeds,
): Promise<void> {
  const tried = await throttle.attempt(
    { account: sub, address: request.ip },
    () => users.isPassword(sub, password),
    (isRight) => isRight,
  )
  if ('wait' in tried) throw refusal.tooManyAttempts(tried.wait)
  if (tried.answer) return
  audit(request, { event: 'user.password_refused', sub })
  throw refusal.wrongPassword()
}
