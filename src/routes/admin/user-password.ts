import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { ResetPassword } from '../../../schemas/admin/user-password.js'
import { refusal } from '../../http/errors.js'
import { resetPassword } from '../../lifecycle/accounts.js'
import { readPasswordHash } from '../../users/hash-formats/read-hash.js'
import { brokenPasswordRule, passwordRuleText } from '../../users/password-rules.js'
import { callingAdministrator } from '../guards/caller.js'
import type { AdminDependencies } from './dependencies.js'

/** `POST /admin/users/:id/password`: an account gets another password, and all its sessions end. */
export const resetPasswordRoute: FastifyPluginAsyncTypebox<AdminDependencies> = async (app, dependencies) => {
  const { users, audit, passwordMinLength: minLength } = dependencies

  app.post('/admin/users/:id/password', { schema: ResetPassword }, async (request, reply) => {
    const { id: by } = callingAdministrator(request)
    const { id: sub } = request.params
    const user = await users.find(sub)
    if (!user) throw refusal.noSuch('account')
    const secret = await readSecret(request.body, user.username)

    const onChange = () => audit(request, { event: 'user.password_reset', sub, by })
    const sids = await resetPassword(dependencies, sub, secret, onChange, request.ip)
    if (!sids) throw refusal.noSuch('account')
    audit(request, { event: 'session.ended', sub, sids, reason: 'password_reset', by })
    return reply.code(204).send(null)
  })

  async function readSecret(
    { password, password_hash: passwordHash }: { password?: string; password_hash?: string },
    username: string,
  ): Promise<{ password: string } | { passwordHash: string }> {
    if (password !== undefined && passwordHash === undefined) {
      const rule = await brokenPasswordRule(password, { username, minLength })
      if (rule) throw refusal.invalidRequest(passwordRuleText(rule, minLength))
      return { password }
    }
    if (password !== undefined || passwordHash === undefined) {
      throw refusal.invalidRequest('send either password or password_hash')
    }
    const read = readPasswordHash(passwordHash)
    if (typeof read === 'string') throw refusal.invalidRequest(`password_hash: ${read}`)
    return { passwordHash }
  }
}
