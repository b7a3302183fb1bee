import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Logout } from '../../schemas/logout.js'
import { type RevocationDependencies, revokeByToken } from '../grants/revocation.js'
import { refusal } from '../http/errors.js'
import { presentedToken } from './guards/bearer.js'

/**
 * `POST /logout`: ends the session of a token. Sign-out must always work, so it also takes a token that has expired, was
 * rotated, or is not valid yet. A token of another issuer has nothing to end, which is not an error (RFC 7009 §2.2).
 */
export const logout: FastifyPluginAsyncTypebox<RevocationDependencies> = async (app, dependencies) => {
  app.post('/logout', { schema: Logout }, async (request, reply) => {
    const token = presentedToken(request, request.body.token)
    if (token === undefined) throw refusal.missingToken()

    if (!(await revokeByToken(request, token, dependencies))) throw refusal.unknownKey()
    return reply.code(204).send(null)
  })
}
