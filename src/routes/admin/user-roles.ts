import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { SetRoles } from '../../../schemas/admin/user-roles.js'
import { changeRoles } from '../../administration/accounts.js'
import { refusal } from '../../errors.js'
import { brokenRoleRule } from '../../users/role.js'
import { type AdminNeeds, requireAdmin } from './guard.js'
import { wordsOf } from './words.js'

/** `PUT /admin/users/:id/roles`: an account has these roles, and no session has another. */
export const setRolesRoute: FastifyPluginAsyncTypebox<AdminNeeds> = async (app, needs) => {
  const { audit } = needs

  app.put('/admin/users/:id/roles', { schema: SetRoles, attachValidation: true }, async (request, reply) => {
    const by = await requireAdmin(request, needs)
    const { id: sub } = request.params
    const roles = wordsOf(request.body.roles)
    const rule = brokenRoleRule(roles)
    if (rule) throw refusal.invalidRequest(rule)

    const sids = await changeRoles(needs, sub, roles)
    if (!sids) throw refusal.noSuch('account')
    audit(request, { event: 'user.roles_changed', sub, roles, by })
    audit(request, { event: 'session.ended', sub, sids, reason: 'roles_changed', by })
    return reply.code(204).send(null)
  })
}
