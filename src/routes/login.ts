import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { Login } from '../../schemas/login.js'
import { askForFactor, type SecondFactorDependencies } from '../grants/second-factor.js'
import { beginSession, type SignInDependencies } from '../grants/sign-in.js'
import { refusal } from '../http/errors.js'
import { PASSWORD_ONLY } from '../sessions/session.js'
import type { AttemptResult, Throttle } from '../throttle/throttle.js'
import type { PasswordHashing } from '../users/password-hashing.js'
import { usernameKey } from '../users/username.js'
import type { SignIn } from '../users/users.js'
import { refuseIgnoredLimits } from './guards/ignored-limits.js'
import type { LiveTokenDependencies } from './guards/live-token.js'
import { readSessionRequest } from './requests/session.js'

interface Dependencies extends LiveTokenDependencies, SignInDependencies, SecondFactorDependencies {
  hashing: PasswordHashing
  throttle: Throttle
}

/**
 * `POST /login`: a person signs in on a device. When a client authenticates itself in the request, the session belongs to
 * that client, and no other client can refresh it. An account with a second factor continues at `POST /login/mfa`.
 */
export const login: FastifyPluginAsyncTypebox<Dependencies> = async (app, dependencies) => {
  const { users, hashing, throttle, audit } = dependencies

  app.post('/login', { schema: Login }, async (request, reply) => {
    refuseIgnoredLimits(request)
    const { username, password } = request.body
    const session = await readSessionRequest(request, request.body, dependencies)

    const signIn = await checkPassword(request, username, password)
    if (signIn.outcome === 'refused') {
      audit(request, { event: 'login.refused', reason: signIn.reason, sub: signIn.sub })
      throw refusal.signInFailed()
    }

    reply.header('cache-control', 'no-store')
    const factorRequest = await askForFactor(request, signIn.user, session, dependencies)
    if (factorRequest) return reply.code(403).send(factorRequest)
    return beginSession(request, signIn.user, { ...session, amr: PASSWORD_ONLY }, dependencies)
  })

  async function checkPassword(request: FastifyRequest, username: string, password: string): Promise<SignIn> {
    return hashing.withSlot(request.ip, async (slot) => {
      const candidate = await users.findCandidate(username)
      const { sub } = candidate
      const account = sub === undefined ? { unknownUsername: usernameKey(username) } : { sub }
      const attempt = await throttle.begin({ account, at: 'sign-in', address: request.ip })
      if ('wait' in attempt) {
        audit(request, { event: 'login.refused', reason: 'throttled', sub })
        throw refusal.tooManyAttempts(attempt.wait)
      }
      let result: AttemptResult = 'not_compared'
      try {
        const signIn = await users.signIn(candidate, password, slot)
        result = signIn.outcome === 'accepted' ? 'success' : 'failure'
        return signIn
      } finally {
        await throttle.finish(attempt, result)
      }
    })
  }
}
