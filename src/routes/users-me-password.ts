import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { ChangePassword } from '../../schemas/users-me-password.js'
import { refusal } from '../http/errors.js'
import { brokenPasswordRule, passwordRuleText } from '../users/password-rules.js'
import { callingPerson } from './guards/caller.js'
import { type LiveTokenDependencies, requirePerson } from './guards/live-token.js'
import { type OwnPasswordDependencies, requireOwnPassword } from './guards/own-password.js'

type Dependencies = LiveTokenDependencies & OwnPasswordDependencies & { passwordMinLength: number }

/** `POST /users/me/password`: a person changes their password, and all their other sessions end. */
export const changePassword: FastifyPluginAsyncTypebox<Dependencies> = async (app, dependencies) => {
  const { users, sessions, passwordMinLength: minLength, audit } = dependencies
  const preValidation = requirePerson(dependencies)

  app.post('/users/me/password', { schema: ChangePassword, preValidation }, async (request, reply) => {
    const { sub, sid } = callingPerson(request)
    const { current_password: current, new_password: next } = request.body
    const user = await users.find(sub)
    if (!user) throw refusal.invalidToken()
    const rule = await brokenPasswordRule(next, { username: user.username, minLength })
    if (rule) throw refusal.invalidRequest(passwordRuleText(rule, minLength))
    await requireOwnPassword(request, sub, current, dependencies)

    // The password changes first. A sign-in with the old password in between finds the change, and ends its own session.
    if (!(await users.changePassword(user, next, request.ip))) {
      audit(request, { event: 'user.password_refused', reason: 'wrong_password', sub })
      throw refusal.wrongPassword()
    }
    audit(request, { event: 'user.password_changed', sub })
    const sids = await sessions.revokeAll(sub, sid)
    audit(request, { event: 'session.ended', sub, sids, reason: 'password_changed' })
    return reply.code(204).send(null)
  })
}
