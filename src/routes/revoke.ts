import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Revoke } from '../../schemas/revoke.js'
import { type RevocationDependencies, revokeByToken } from '../grants/revocation.js'
import { refusal } from '../http/errors.js'
import { checkClientSecret } from './guards/client.js'
import type { LiveTokenDependencies } from './guards/live-token.js'

type Dependencies = RevocationDependencies & LiveTokenDependencies

/** `POST /revoke` (RFC 7009): ends a token and its session. An unknown token has already ended (§2.2). */
export const revoke: FastifyPluginAsyncTypebox<Dependencies> = async (app, dependencies) => {
  // A holder of the token may end it. A client that sends credentials must send the right ones.
  const preValidation = checkClientSecret(dependencies)

  app.post('/revoke', { schema: Revoke, preValidation }, async (request, reply) => {
    if (!(await revokeByToken(request, request.body.token, dependencies))) throw refusal.unsupportedTokenType()
    return reply.header('cache-control', 'no-store').send()
  })
}
