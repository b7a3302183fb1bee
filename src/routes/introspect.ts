import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Introspect } from '../../schemas/introspect.js'
import type { Audit } from '../audit.js'
import type { Client } from '../clients/clients.js'
import { callingClient } from './guards/caller.js'
import { requireClient } from './guards/client.js'
import { findLiveToken, type LiveTokenDependencies } from './guards/live-token.js'

interface Dependencies extends LiveTokenDependencies {
  audit: Audit
}

/** `POST /introspect` (RFC 7662): whether an access token is live, at this moment. A refresh token is none. */
export const introspect: FastifyPluginAsyncTypebox<Dependencies> = async (app, dependencies) => {
  const preValidation = requireClient('introspect', dependencies)

  app.post('/introspect', { schema: Introspect, preValidation }, async (request, reply) => {
    const client = callingClient(request)
    reply.header('cache-control', 'no-store')

    const live = await findLiveToken(request.body.token, dependencies)
    // Never why: the answer for a forged, an expired, a revoked and another audience's token is the same (§2.2, §4).
    if (!live || !isFor(client, live.claims.aud)) return { active: false }

    const username = live.username === undefined ? {} : { username: live.username }
    // What the token claims comes first: it has no say in whether it is active.
    return { ...live.claims, active: true, ...username, token_type: 'Bearer' as const }
  })
}

function isFor(client: Client, audience: string): boolean {
  return client.audiences.size === 0 || client.audiences.has(audience)
}
