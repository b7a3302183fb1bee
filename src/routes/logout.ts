import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Logout } from '../../schemas/logout.js'
import { type RevocationDependencies, revokeByToken } from '../grants/revocation.js'
import { refusal } from '../http/errors.js'
import type { RefreshCookie } from '../http/refresh-cookie.js'
import { presentedToken } from './guards/bearer.js'

interface Dependencies extends RevocationDependencies {
  refreshCookie: RefreshCookie
}

/**
 * `POST /logout`: ends the session of a token. Sign-out must always work, so it also takes a token that has expired, was
 * rotated, or is not valid yet. A token of another issuer has nothing to end, which is not an error (RFC 7009 §2.2).
 */
export const logout: FastifyPluginAsyncTypebox<Dependencies> = async (app, { refreshCookie, ...dependencies }) => {
  app.post('/logout', { schema: Logout }, async (request, reply) => {
    const token = presentedToken(request, request.body.token)
    const inCookie = refreshCookie.read(request)
    if (token === undefined && inCookie === undefined) throw refusal.missingToken()
    let isKnown = true

    if (inCookie !== undefined) {
      // The page may send an access token too, of an earlier sign-in. A sign-out ends all that the browser holds.
      isKnown = await revokeByToken(request, inCookie, dependencies)
      if (isKnown) refreshCookie.clear(reply)
    }
    if (token !== undefined) isKnown = (await revokeByToken(request, token, dependencies)) && isKnown
    if (!isKnown) throw refusal.unknownKey()
    return reply.code(204).send(null)
  })
}
