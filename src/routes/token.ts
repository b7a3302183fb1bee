import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { TOKEN_EXCHANGE, TokenRequest } from '../../schemas/token.js'
import { issueClientToken } from '../grants/client-credentials.js'
import { type RefreshDependencies, redeemRefreshToken } from '../grants/refresh-token.js'
import { exchangeToken } from '../grants/token-exchange.js'
import { refusal } from '../http/errors.js'
import { callingClient } from './guards/caller.js'
import { requireClientSecret } from './guards/client.js'
import { EXCHANGE_PARAMETERS, refuseIgnoredLimits } from './guards/ignored-limits.js'
import { findLiveToken, type LiveTokenDependencies } from './guards/live-token.js'

type Dependencies = LiveTokenDependencies & RefreshDependencies

/**
 * `POST /token` (RFC 6749 §3.2): a client gets a token for itself, redeems a refresh token, or exchanges a person's token.
 * There is no password grant.
 */
export const token: FastifyPluginAsyncTypebox<Dependencies> = async (app, dependencies) => {
  const preValidation = requireClientSecret(dependencies)
  const findClaims = async (subjectToken: string) => (await findLiveToken(subjectToken, dependencies))?.claims

  app.post('/token', { schema: TokenRequest, preValidation }, async (request, reply) => {
    const client = callingClient(request)
    const { grant_type: grantType, scope, audience, resource, refresh_token: refreshToken } = request.body
    refuseIgnoredLimits(request, grantType === TOKEN_EXCHANGE ? EXCHANGE_PARAMETERS : undefined)
    reply.header('cache-control', 'no-store')

    switch (grantType) {
      case 'client_credentials':
        return issueClientToken(request, client, { scope, audience, resource }, dependencies)
      case 'refresh_token':
        if (refreshToken === undefined) throw refusal.invalidRequest('refresh_token is missing')
        return redeemRefreshToken(request, refreshToken, client.id, dependencies, { scope, audience, resource })
      case TOKEN_EXCHANGE:
        return exchangeToken(request, client, request.body, { ...dependencies, findClaims })
      default:
        throw refusal.unsupportedGrantType(`client_credentials, refresh_token or ${TOKEN_EXCHANGE}`)
    }
  })
}
