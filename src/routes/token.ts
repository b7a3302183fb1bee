import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { type ClientTokenResponse, TokenRequest } from '../../schemas/token.js'
import { type Client, RESERVED_SCOPES } from '../clients/clients.js'
import { refusal } from '../http/errors.js'
import { callingClient } from './guards/caller.js'
import { requireClientSecret } from './guards/client.js'
import { refuseIgnoredLimits } from './guards/ignored-limits.js'
import type { LiveTokenDependencies } from './guards/live-token.js'
import { type RefreshDependencies, redeemRefreshToken } from './refresh.js'

type Dependencies = LiveTokenDependencies & RefreshDependencies

/** How far ahead of the clock a token may be dated, in seconds: less than what verifiers allow for clocks that differ. */
const MAX_AHEAD = 1

/** `POST /token` (RFC 6749 §3.2): a client gets a token for itself, or refreshes one. There is no password grant. */
export const token: FastifyPluginAsyncTypebox<Dependencies> = async (app, dependencies) => {
  const { tokens, sessions, audit } = dependencies
  const { issuer, audiences } = tokens
  const preValidation = requireClientSecret(dependencies)

  app.post('/token', { schema: TokenRequest, preValidation }, async (request, reply) => {
    const client = callingClient(request)
    refuseIgnoredLimits(request)
    reply.header('cache-control', 'no-store')

    const { grant_type: grantType, scope, audience, refresh_token: refreshToken } = request.body
    switch (grantType) {
      case 'client_credentials':
        return issueToClient(request, client, scope, audience)
      case 'refresh_token':
        if (refreshToken === undefined) throw refusal.invalidRequest('refresh_token is missing')
        return redeemRefreshToken(request, refreshToken, client.id, dependencies, { scope, audience })
      default:
        throw refusal.unsupportedGrantType('client_credentials or refresh_token')
    }
  })

  /**
   * RFC 6749 §4.4. Without `scope` the token has every scope of the client except the reserved ones. Whoever receives a token
   * with a reserved scope can act as the client, so the client must ask for that scope, in a token that no other service gets.
   */
  async function issueToClient(
    request: FastifyRequest,
    client: Client,
    scope = [...client.scopes].filter((item) => !RESERVED_SCOPES.has(item)).join(' '),
    audience = [...client.audiences][0] ?? audiences[0],
  ): Promise<ClientTokenResponse> {
    const asked = scope.split(' ').filter(Boolean)
    if (!asked.every((item) => client.scopes.has(item))) {
      throw refusal.invalidScope('scope asks for more than the client has')
    }
    if (!audiences.includes(audience) || (client.audiences.size > 0 && !client.audiences.has(audience))) {
      throw refusal.invalidTarget()
    }
    if (audience !== issuer && asked.some((item) => RESERVED_SCOPES.has(item))) {
      throw refusal.reservedScope(issuer)
    }
    // A revocation ends what was issued up to and in its second. A token of that second is dated into the next, or it
    // would be born dead.
    const issuedAfter = await sessions.clientNotBefore(client.id)
    // Further ahead lies only the revocation of a client that is being deleted, which this process still remembers.
    if (issuedAfter > Date.now() / 1000 + MAX_AHEAD) throw refusal.unavailable()
    const issued = tokens.issue({ sub: client.id, clientId: client.id, scope, audience, roles: [], issuedAfter })
    audit(request, { event: 'client.token_issued', sub: client.id })
    return { access_token: issued.token, token_type: 'Bearer', expires_in: issued.expiresIn, scope }
  }
}
