import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { ChangePassword } from '../../schemas/users-me-password.js'
import { refusal } from '../errors.js'
import { brokenPasswordRule, passwordRuleText } from '../users/password.js'
import { requireValid } from './bearer.js'
import { type LiveTokenNeeds, requirePerson } from './live-token.js'
import { type OwnPasswordNeeds, requireOwnPassword } from './own-password.js'

type Needs = LiveTokenNeeds & OwnPasswordNeeds & { passwordMinLength: number }

/** `POST /users/me/password`: a person changes their password, and every other session of theirs ends. */
export const changePassword: FastifyPluginAsyncTypebox<Needs> = async (app, needs) => {
  const { users, sessions, passwordMinLength: minLength, audit } = needs

  app.post('/users/me/password', { schema: ChangePassword, attachValidation: true }, async (request, reply) => {
    const { sub, sid } = await requirePerson(request, needs)
    requireValid(request)
    const { current_password: current, new_password: next } = request.body
    const user = await users.find(sub)
    if (!user) throw refusal.invalidToken()
    const rule = await brokenPasswordRule(next, { username: user.username, minLength })
    if (rule) throw refusal.invalidRequest(passwordRuleText(rule, minLength))
    await requireOwnPassword(request, sub, current, needs)

    // The password first: a sign-in with the old one that comes in between finds it changed, and ends its own session.
    if (!(await users.changePassword(user, next, request.ip))) {
      audit(request, { event: 'user.password_refused', reason: 'wrong_password', sub })
      throw refusal.wrongPassword()
    }
    audit(request, { event: 'user.password_changed', sub })
    const sids = await sessions.endAll(sub, sid)
    audit(request, { event: 'session.ended', sub, sids, reason: 'password_changed' })
    return reply.code(204).send(null)
  })
}
