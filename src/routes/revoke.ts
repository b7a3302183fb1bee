import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Revoke } from '../../schemas/revoke.js'
import { refusal } from '../http/errors.js'
import { checkClientSecret } from './guards/client.js'
import type { LiveTokenDependencies } from './guards/live-token.js'
import { endByToken, type LogoutDependencies } from './logout.js'

/** `POST /revoke` (RFC 7009): the token dies, and with it its session. An unknown token is dead already (§2.2). */
export const revoke: FastifyPluginAsyncTypebox<LogoutDependencies & LiveTokenDependencies> = async (
  app,
  dependencies,
) => {
  // Whoever holds the token may end it. A client that sends credentials must send the right ones.
  const preValidation = checkClientSecret(dependencies)

  app.post('/revoke', { schema: Revoke, preValidation }, async (request, reply) => {
    if (!(await endByToken(request, request.body.token, dependencies))) throw refusal.unsupportedTokenType()
    return reply.header('cache-control', 'no-store').send()
  })
}
