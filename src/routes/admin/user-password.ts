import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { ResetPassword } from '../../../schemas/admin/user-password.js'
import { resetPassword } from '../../administration/accounts.js'
import { refusal } from '../../errors.js'
import { brokenPasswordRule, passwordRuleText } from '../../users/password.js'
import { readPasswordHash } from '../../users/password-hash.js'
import { type AdminNeeds, requireAdmin } from './guard.js'

/** `POST /admin/users/:id/password`: an account gets another password, and every session of it ends. */
export const resetPasswordRoute: FastifyPluginAsyncTypebox<AdminNeeds> = async (app, needs) => {
  const { users, audit, passwordMinLength: minLength } = needs

  app.post('/admin/users/:id/password', { schema: ResetPassword, attachValidation: true }, async (request, reply) => {
    const by = await requireAdmin(request, needs)
    const { id: sub } = request.params
    const user = await users.find(sub)
    if (!user) throw refusal.noSuch('account')
    const secret = await read(request.body, user.username)

    const sids = await resetPassword(needs, sub, secret, request.ip)
    if (!sids) throw refusal.noSuch('account')
    audit(request, { event: 'user.password_reset', sub, by })
    audit(request, { event: 'session.ended', sub, sids, reason: 'password_reset', by })
    return reply.code(204).send(null)
  })

  async function read(
    { password, password_hash: passwordHash }: { password?: string; password_hash?: string },
    username: string,
  ): Promise<{ password: string } | { passwordHash: string }> {
    if (password !== undefined && passwordHash === undefined) {
      const rule = await brokenPasswordRule(password, { username, minLength })
      if (rule) throw refusal.invalidRequest(passwordRuleText(rule, minLength))
      return { password }
    }
    if (password !== undefined || passwordHash === undefined) {
      throw refusal.invalidRequest('send a password or a password_hash, one of them')
    }
    const read = readPasswordHash(passwordHash)
    if (typeof read === 'string') throw refusal.invalidRequest(`password_hash: ${read}`)
    return { passwordHash }
  }
}
