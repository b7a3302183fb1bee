import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Revoke } from '../../schemas/revoke.js'
import { refusal } from '../errors.js'
import { requireValid } from './bearer.js'
import { authenticateClient, presentsClient } from './client.js'
import type { LiveTokenNeeds } from './live-token.js'
import { endByToken, type LogoutNeeds } from './logout.js'

/** `POST /revoke` (RFC 7009): the token dies, and with it its session. An unknown token is dead already (§2.2). */
export const revoke: FastifyPluginAsyncTypebox<LogoutNeeds & LiveTokenNeeds> = async (app, needs) => {
  app.post('/revoke', { schema: Revoke, attachValidation: true }, async (request, reply) => {
    // Holding the token is right enough to end it; a client that says who it is must be who it says.
    if (presentsClient(request)) await authenticateClient(request, needs)
    requireValid(request)

    if (!(await endByToken(request, request.body.token, needs))) throw refusal.unsupportedTokenType()
    return reply.header('cache-control', 'no-store').send()
  })
}
