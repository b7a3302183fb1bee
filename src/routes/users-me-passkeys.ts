import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { AddPasskey, PasskeyRegistrationOptions } from '../../schemas/users-me-passkeys.js'
import { MAX_PASSKEYS } from '../factors/factor.js'
import { passkeyMethod } from '../grants/second-factor.js'
import { requireAnswerable } from '../grants/sign-in.js'
import { refusal } from '../http/errors.js'
import { callingChanger } from './guards/caller.js'
import { requireFactorChanger } from './guards/factor-changer.js'
import { addedFactorBody, type FactorRouteDependencies } from './responses/factors.js'

/** `POST /users/me/factors/passkeys/options`, `POST /users/me/factors/passkeys`: a person registers a passkey. */
export const passkeyRoutes: FastifyPluginAsyncTypebox<FactorRouteDependencies> = async (app, dependencies) => {
  const { factors, passkeyCeremonies, audit } = dependencies
  const preValidation = requireFactorChanger(dependencies, 'also enrolment')
  const schema = PasskeyRegistrationOptions

  app.post('/users/me/factors/passkeys/options', { schema, preValidation }, async (request, reply) => {
    const { user } = callingChanger(request)
    reply.header('cache-control', 'no-store')
    return passkeyCeremonies.registrationOptions(user)
  })

  app.post('/users/me/factors/passkeys', { schema: AddPasskey, preValidation }, async (request, reply) => {
    const changer = callingChanger(request)
    const { user, ticket } = changer
    const { passkey: response, name = null } = request.body
    if (ticket) requireAnswerable(request, ticket, user, dependencies)
    const registration = await passkeyCeremonies.register(user, response)
    if (!registration.isValid) {
      audit(request, { event: 'factor.refused', reason: registration.fault, sub: user.id, type: 'passkey' })
      throw refusal.invalidRequest(
        'passkey is not a response to fresh options of this service: ask /users/me/factors/passkeys/options again',
      )
    }
    // The change below fails if another request adds one meanwhile.
    if ((await factors.passkeys(user.id)).length >= MAX_PASSKEYS) throw refusal.tooManyPasskeys(MAX_PASSKEYS)
    const change = await factors.addPasskey(user, registration.passkey, name)
    if (change.outcome === 'conflict') throw refusal.factorsChanged()
    if (change.outcome === 'not_found') throw refusal.passkeyTaken()
    reply.header('cache-control', 'no-store')
    return addedFactorBody(request, changer, change, passkeyMethod(registration.passkey), dependencies)
  })
}
