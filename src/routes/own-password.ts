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
  const attempt = { account: sub, address: request.ip }
  const seconds = await throttle.wait(attempt)
  if (seconds > 0) throw refusal.tooManyAttempts(seconds)
  if (await users.isPassword(sub, password)) return
  await throttle.failed(attempt)
  audit(request, { event: 'user.password_refused', sub })
  throw refusal.wrongPassword()
}
