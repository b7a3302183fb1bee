import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { ListFactors, RemoveFactor, RenewRecoveryCodes } from '../../schemas/users-me-factors.js'
import { mustHaveFactor } from '../grants/second-factor.js'
import { refusal } from '../http/errors.js'
import { callingChanger, callingPerson } from './guards/caller.js'
import { requireFactorChanger } from './guards/factor-changer.js'
import { requirePerson } from './guards/live-token.js'
import { endOtherSessions, type FactorRouteDependencies, factorBody } from './responses/factors.js'

/** `GET` and `DELETE /users/me/factors…`: a person sees and removes their second factors. */
export const factorRoutes: FastifyPluginAsyncTypebox<FactorRouteDependencies> = async (app, dependencies) => {
  const { users, factors, mfa, audit } = dependencies

  app.get('/users/me/factors', { schema: ListFactors, preValidation: requirePerson(dependencies) }, async (request) => {
    const { sub } = callingPerson(request)
    const [user, list] = await Promise.all([users.find(sub), factors.list(sub)])
    if (!user) throw refusal.invalidToken()
    return {
      factors: list.factors.map(factorBody),
      recovery_codes_left: list.recoveryCodes,
      mfa_required: mustHaveFactor(user, mfa),
    }
  })

  const preValidation = requireFactorChanger(dependencies, 'sessions only')

  app.post(
    '/users/me/factors/recovery-codes',
    { schema: RenewRecoveryCodes, preValidation },
    async (request, reply) => {
      const changer = callingChanger(request)
      const change = await factors.renewRecoveryCodes(changer.user)
      if (change.outcome === 'conflict') throw refusal.factorsChanged()
      if (change.outcome === 'not_found') throw refusal.noFactors()
      audit(request, { event: 'factor.recovery_codes_renewed', sub: changer.user.id })
      await endOtherSessions(request, changer, dependencies)
      return reply.header('cache-control', 'no-store').send({ recovery_codes: change.recoveryCodes })
    },
  )

  app.delete('/users/me/factors/:id', { schema: RemoveFactor, preValidation }, async (request, reply) => {
    const changer = callingChanger(request)
    const { user } = changer
    const { id } = request.params
    const removed = (await factors.list(user.id)).factors.find((factor) => factor.id === id)
    if (!removed) throw refusal.noSuchFactor()
    // The change below fails if another request removes a factor meanwhile.
    if (user.factors === 1 && mustHaveFactor(user, mfa)) throw refusal.lastFactor()

    const change = await factors.remove(user, id)
    if (change.outcome === 'conflict') throw refusal.factorsChanged()
    if (change.outcome === 'not_found') throw refusal.noSuchFactor()
    audit(request, { event: 'factor.removed', sub: user.id, factor: id, type: removed.type })
    await endOtherSessions(request, changer, dependencies)
    return reply.code(204).send(null)
  })
}
