import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { introspectSchema } from '../../schemas/introspect.js'
import type { Audit } from '../audit.js'
import type { Client } from '../clients/clients.js'
import type { TokenClaims } from '../users/account-claims.js'
import { callingClient } from './guards/caller.js'
import { requireClient } from './guards/client.js'
import { findLiveToken, type LiveTokenDependencies } from './guards/live-token.js'

interface Dependencies extends LiveTokenDependencies {
  tokenClaims: TokenClaims
  audit: Audit
}

const NO_ROLES: string[] = []

/** `POST /introspect` (RFC 7662): whether an access token is live now. A refresh token is never active here. */
export const introspect: FastifyPluginAsyncTypebox<Dependencies> = async (app, dependencies) => {
  const preValidation = requireClient('introspect', dependencies)

  const schema = introspectSchema(dependencies.tokenClaims.names)

  app.post('/introspect', { schema, preValidation }, async (request, reply) => {
    const client = callingClient(request)
    reply.header('cache-control', 'no-store')

    const live = await findLiveToken(request.body.token, dependencies)
    // The answer is the same for a forged, an expired and a revoked token, and for another audience's token (§2.2, §4).
    if (!live || !maySee(client, live.claims.aud)) return { active: false }

    const username = live.username === undefined ? {} : { username: live.username }
    const { roles = NO_ROLES } = live.claims
    // The claims come first, so that no claim can overwrite `active`.
    return { ...live.claims, active: true, ...username, token_type: 'Bearer' as const, roles }
  })
}

function maySee(client: Client, audience: string): boolean {
  return client.audiences.size === 0 || client.audiences.has(audience)
}
