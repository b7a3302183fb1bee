import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { TokenRequest } from '../../schemas/token.js'
import { issueClientToken } from '../grants/client-credentials.js'
import { type RefreshDependencies, redeemRefreshToken } from '../grants/refresh-token.js'
import { refusal } from '../http/errors.js'
import { callingClient } from './guards/caller.js'
import { requireClientSecret } from './guards/client.js'
import { refuseIgnoredLimits } from './guards/ignored-limits.js'
import type { LiveTokenDependencies } from './guards/live-token.js'

type Dependencies = LiveTokenDependencies & RefreshDependencies

/** `POST /token` (RFC 6749 §3.2): a client gets a token for itself, or redeems a refresh token. There is no password grant. */
export const token: FastifyPluginAsyncTypebox<Dependencies> = async (app, dependencies) => {
  const preValidation = requireClientSecret(dependencies)

  app.post('/token', { schema: TokenRequest, preValidation }, async (request, reply) => {
    const client = callingClient(request)
    refuseIgnoredLimits(request)
    reply.header('cache-control', 'no-store')

    const { grant_type: grantType, scope, audience, refresh_token: refreshToken } = request.body
    switch (grantType) {
      case 'client_credentials':
        return issueClientToken(request, client, { scope, audience }, dependencies)
      case 'refresh_token':
        if (refreshToken === undefined) throw refusal.invalidRequest('refresh_token is missing')
        return redeemRefreshToken(request, refreshToken, client.id, dependencies, { scope, audience })
      default:
        throw refusal.unsupportedGrantType('client_credentials or refresh_token')
    }
  })
}
