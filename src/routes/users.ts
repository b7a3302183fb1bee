import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { SignUp } from '../../schemas/users.js'
import type { Audit } from '../audit.js'
import { refusal } from '../http/errors.js'
import type { Throttle } from '../throttle/throttle.js'
import { toUnixSeconds } from '../unix-seconds.js'
import { brokenPasswordRule, passwordRuleText } from '../users/password-rules.js'
import { brokenUsernameRule, usernameRules } from '../users/username.js'
import type { Users } from '../users/users.js'

interface Dependencies {
  users: Users
  throttle: Throttle
  signUp: 'open' | 'closed'
  passwordMinLength: number
  audit: Audit
}

/** `POST /users`: anyone creates an account while sign-up is open. */
export const signUp: FastifyPluginAsyncTypebox<Dependencies> = async (
  app,
  { users, passwordMinLength: minLength, ...dependencies },
) => {
  app.post('/users', { schema: SignUp }, async (request, reply) => {
    if (dependencies.signUp === 'closed') throw refusal.signUpClosed()
    const { username, password } = request.body
    const usernameRule = brokenUsernameRule(username)
    if (usernameRule) throw refusal.invalidRequest(usernameRules[usernameRule])

    const wait = await dependencies.throttle.signUp(request.ip)
    if (wait > 0) {
      dependencies.audit(request, { event: 'user.create_refused', reason: 'throttled' })
      throw refusal.tooManySignUps(wait)
    }
    // The throttle comes first: strangers could ask for any number of estimates, each of which may take 70 ms of a core.
    const passwordRule = await brokenPasswordRule(password, { username, minLength })
    if (passwordRule) throw refusal.invalidRequest(passwordRuleText(passwordRule, minLength))

    const user = await users.create({ username, password }, request.ip)
    if (user === 'taken' || user === 'id_taken') throw refusal.usernameTaken()

    dependencies.audit(request, { event: 'user.created', sub: user.id })
    return reply.code(201).send({ id: user.id, username: user.username, created_at: toUnixSeconds(user.createdAt) })
  })
}
