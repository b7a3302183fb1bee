import type { FastifyRequest } from 'fastify'
import type { Audit } from '../../audit.js'
import { refusal } from '../../http/errors.js'
import type { AttemptResult, Throttle } from '../../throttle/throttle.js'
import type { Users } from '../../users/users.js'

export interface OwnPasswordDependencies {
  users: Users
  throttle: Throttle
  audit: Audit
}

/**
 * The person sends their password again before an act that a stolen token must not do. Wrong passwords here and
 * at sign-in count together for the account, from all IP addresses. The wait of one IP address here is another than at sign-in.
 */
export async function requireOwnPassword(
  request: FastifyRequest,
  sub: string,
  password: string,
  { users, throttle, audit }: OwnPasswordDependencies,
): Promise<void> {
  const attempt = await throttle.begin({ account: { sub }, at: 'own password', address: request.ip })
  if ('wait' in attempt) {
    audit(request, { event: 'user.password_refused', reason: 'throttled', sub })
    throw refusal.tooManyAttempts(attempt.wait)
  }
  let result: AttemptResult = 'not_compared'
  try {
    result = (await users.isPassword(sub, password, request.ip)) ? 'success' : 'failure'
  } finally {
    await throttle.finish(attempt, result)
  }
  if (result === 'success') return
  audit(request, { event: 'user.password_refused', reason: 'wrong_password', sub })
  throw refusal.wrongPassword()
}
