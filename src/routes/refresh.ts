import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { FIRST_PARTY_CLIENT_ID } from '@latchkey/verifier/access-token'
import { Refresh } from '../../schemas/refresh.js'
import { type RefreshDependencies, redeemRefreshToken } from '../grants/refresh-token.js'
import { refusal } from '../http/errors.js'
import type { RefreshCookie } from '../http/refresh-cookie.js'
import { presentedRefreshToken } from './guards/bearer.js'
import { refuseIgnoredLimits } from './guards/ignored-limits.js'

interface Dependencies extends RefreshDependencies {
  refreshCookie: RefreshCookie
}

/** `POST /refresh`: exactly-once rotation (RFC 6749 §6, RFC 9700 §4.14.2). Every refusal looks the same. */
export const refresh: FastifyPluginAsyncTypebox<Dependencies> = async (app, { refreshCookie, ...dependencies }) => {
  app.post('/refresh', { schema: Refresh }, async (request, reply) => {
    refuseIgnoredLimits(request)
    if ((request.body.grant_type ?? 'refresh_token') !== 'refresh_token') {
      throw refusal.unsupportedGrantType('refresh_token, or left out')
    }
    const inCookie = refreshCookie.read(request)
    const token = presentedRefreshToken(request, request.body.refresh_token ?? inCookie)
    if (token === undefined) throw refusal.invalidRequest('refresh_token is missing')
    if (inCookie !== undefined) {
      // One of them may be of another session, and a refresh of the wrong session would lose the right one.
      if (token !== inCookie) {
        throw refusal.invalidRequest(
          'the refresh token in the cookie differs from the one that you send: send one of them',
        )
      }
      request.refreshIn = 'cookie'
    }

    const answer = await redeemRefreshToken(request, token, FIRST_PARTY_CLIENT_ID, dependencies, request.body)
    return reply.header('cache-control', 'no-store').send(answer)
  })
}
