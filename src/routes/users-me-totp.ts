import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { BeginTotp, ConfirmTotp } from '../../schemas/users-me-totp.js'
import { requireAnswerable } from '../grants/sign-in.js'
import { refusal } from '../http/errors.js'
import { callingChanger } from './guards/caller.js'
import { requireFactorChanger } from './guards/factor-changer.js'
import { addedFactorBody, type FactorRouteDependencies } from './responses/factors.js'

/** `POST /users/me/factors/totp`, `POST /users/me/factors/totp/confirm`: a person enrols an authenticator app. */
export const totpRoutes: FastifyPluginAsyncTypebox<FactorRouteDependencies & { rpId: string }> = async (
  app,
  { rpId, ...dependencies },
) => {
  const { factors, audit } = dependencies
  const preValidation = requireFactorChanger(dependencies, 'also enrolment')

  app.post('/users/me/factors/totp', { schema: BeginTotp, preValidation }, async (request, reply) => {
    const { user } = callingChanger(request)
    if (!factors.canEnrolTotp) throw refusal.totpIsOff()
    const secret = await factors.beginTotp(user.id)
    // Loaded with the first enrolment.
    const { totpUri } = await import('../factors/totp.js')
    return reply.header('cache-control', 'no-store').send({ secret, otpauth_uri: totpUri(secret, rpId, user.username) })
  })

  app.post('/users/me/factors/totp/confirm', { schema: ConfirmTotp, preValidation }, async (request, reply) => {
    const changer = callingChanger(request)
    if (!factors.canEnrolTotp) throw refusal.totpIsOff()
    const { totp, name = null } = request.body
    if (changer.ticket) requireAnswerable(request, changer.ticket, changer.user, dependencies)
    const change = await factors.confirmTotp(changer.user, totp, name)
    if (change.outcome === 'conflict') throw refusal.factorsChanged()
    if (change.outcome === 'not_found') {
      audit(request, { event: 'factor.refused', reason: 'not_confirmed', sub: changer.user.id, type: 'totp' })
      throw refusal.invalidRequest(
        'the code is wrong, or no enrolment waits for it: send the code that the app shows now',
      )
    }
    reply.header('cache-control', 'no-store')
    return addedFactorBody(request, changer, change, 'otp', dependencies)
  })
}
