import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Introspect } from '../../schemas/introspect.js'
import type { Audit } from '../audit.js'
import type { Clients } from '../clients/clients.js'
import type { SessionStore } from '../sessions/session.js'
import type { AccessTokens } from '../tokens/access-tokens.js'
import { requireValid } from './bearer.js'
import { requireClient } from './client.js'

interface Needs {
  clients: Clients
  sessions: SessionStore
  tokens: AccessTokens
  audit: Audit
}

/** `POST /introspect` (RFC 7662): whether an access token is live, at this moment. A refresh token is none. */
export const introspect: FastifyPluginAsyncTypebox<Needs> = async (app, needs) => {
  const { sessions, tokens } = needs

  app.post('/introspect', { schema: Introspect, attachValidation: true }, async (request, reply) => {
    await requireClient(request, 'introspect', needs)
    requireValid(request)
    reply.header('cache-control', 'no-store')

    const { claims } = tokens.check(request.body.token)
    const username = claims && (await sessions.holder(claims.sub, claims.sid))
    // Never why: the answer for a forged, an expired and a revoked token is the same (RFC 7662 §2.2).
    if (!claims || username === undefined) return { active: false }

    // What the token claims comes first: it has no say in whether it is active.
    return { ...claims, active: true, username, token_type: 'Bearer' as const }
  })
}
