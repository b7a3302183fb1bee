import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { ChangePassword } from '../../schemas/users-me-password.js'
import type { Audit } from '../audit.js'
import { refusal } from '../errors.js'
import { brokenPasswordRule, passwordRuleText } from '../users/password.js'
import type { Users } from '../users/users.js'
import { requireValid } from './bearer.js'
import { type LiveTokenNeeds, requirePerson } from './live-token.js'

interface Needs extends LiveTokenNeeds {
  users: Users
  passwordMinLength: number
  audit: Audit
}

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
    if (!(await users.isPassword(sub, current))) {
      audit(request, { event: 'user.password_refused', sub })
      throw refusal.wrongPassword()
    }

    // The password first: a sign-in with the old one that comes in between finds it changed, and ends its own session.
    await users.changePassword(sub, next)
    audit(request, { event: 'user.password_changed', sub })
    const sids = await sessions.endAll(sub, sid)
    audit(request, { event: 'session.ended', sub, sids, reason: 'password_changed' })
    return reply.code(204).send(null)
  })
}
