import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { SetRoles } from '../../../schemas/admin/user-roles.js'
import { refusal } from '../../http/errors.js'
import { changeRoles } from '../../lifecycle/accounts.js'
import { brokenRoleRule } from '../../users/role.js'
import { callingAdministrator } from '../guards/caller.js'
import { parseList } from '../requests/list.js'
import type { AdminDependencies } from './dependencies.js'

/** `PUT /admin/users/:id/roles`: sets the roles of an account. Sessions with other roles end. */
export const setRolesRoute: FastifyPluginAsyncTypebox<AdminDependencies> = async (app, dependencies) => {
  const { audit } = dependencies

  app.put('/admin/users/:id/roles', { schema: SetRoles }, async (request, reply) => {
    const { id: by } = callingAdministrator(request)
    const { id: sub } = request.params
    const roles = parseList(request.body.roles)
    const rule = brokenRoleRule(roles)
    if (rule) throw refusal.invalidRequest(rule)

    const onChange = () => audit(request, { event: 'user.roles_changed', sub, roles, by })
    const sids = await changeRoles(dependencies, sub, roles, onChange)
    if (!sids) throw refusal.noSuch('account')
    audit(request, { event: 'session.ended', sub, sids, reason: 'roles_changed', by })
    return reply.code(204).send(null)
  })
}
