import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { ListFactorsOf, RequireMfa, ResetFactors } from '../../../schemas/admin/user-factors.js'
import { refusal } from '../../http/errors.js'
import { requireMfa, resetFactors } from '../../lifecycle/accounts.js'
import { callingAdministrator } from '../guards/caller.js'
import { factorBody } from '../responses/factors.js'
import type { AdminDependencies } from './dependencies.js'

/** `GET` and `DELETE /admin/users/:id/factors`, `PUT /admin/users/:id/mfa`: the second factors of an account. */
export const userFactorsRoutes: FastifyPluginAsyncTypebox<AdminDependencies> = async (app, dependencies) => {
  const { users, factors, audit } = dependencies

  app.get('/admin/users/:id/factors', { schema: ListFactorsOf }, async (request) => {
    const { id: sub } = request.params
    const [user, list] = await Promise.all([users.find(sub), factors.list(sub)])
    if (!user) throw refusal.noSuch('account')
    return {
      factors: list.factors.map(factorBody),
      recovery_codes_left: list.recoveryCodes,
      mfa_required: user.mfaRequired,
    }
  })

  app.delete('/admin/users/:id/factors', { schema: ResetFactors }, async (request, reply) => {
    const { id: by } = callingAdministrator(request)
    const { id: sub } = request.params

    const sids = await resetFactors(dependencies, sub, () => audit(request, { event: 'factor.reset', sub, by }))
    if (!sids) throw refusal.noSuch('account')
    audit(request, { event: 'session.ended', sub, sids, reason: 'factors_reset', by })
    return reply.code(204).send(null)
  })

  app.put('/admin/users/:id/mfa', { schema: RequireMfa }, async (request, reply) => {
    const { id: by } = callingAdministrator(request)
    const { id: sub } = request.params
    const { required } = request.body

    const onChange = () => audit(request, { event: 'user.mfa_changed', sub, required, by })
    const sids = await requireMfa(dependencies, sub, required, onChange)
    if (!sids) throw refusal.noSuch('account')
    audit(request, { event: 'session.ended', sub, sids, reason: 'mfa_required', by })
    return reply.code(204).send(null)
  })
}
