import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { FIRST_PARTY_CLIENT_ID } from '@latchkey/verifier/access-token'
import { Refresh } from '../../schemas/refresh.js'
import { type RefreshDependencies, redeemRefreshToken } from '../grants/refresh-token.js'
import { refusal } from '../http/errors.js'
import { presentedToken } from './guards/bearer.js'
import { refuseIgnoredLimits } from './guards/ignored-limits.js'

/** `POST /refresh`: exactly-once rotation (RFC 6749 §6, RFC 9700 §4.14.2). Every refusal looks the same. */
export const refresh: FastifyPluginAsyncTypebox<RefreshDependencies> = async (app, dependencies) => {
  app.post('/refresh', { schema: Refresh }, async (request, reply) => {
    refuseIgnoredLimits(request)
    if ((request.body.grant_type ?? 'refresh_token') !== 'refresh_token') {
      throw refusal.unsupportedGrantType('refresh_token, or left out')
    }
    const token = presentedToken(request, request.body.refresh_token, refusal.invalidGrant)
    if (token === undefined) throw refusal.invalidRequest('refresh_token is missing')

    const answer = await redeemRefreshToken(request, token, FIRST_PARTY_CLIENT_ID, dependencies, request.body)
    return reply.header('cache-control', 'no-store').send(answer)
  })
}
