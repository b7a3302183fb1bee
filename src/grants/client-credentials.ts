import type { FastifyRequest } from 'fastify'
import type { ClientTokenResponse } from '../../schemas/token.js'
import type { Audit } from '../audit.js'
import type { Client } from '../clients/clients.js'
import { refusal } from '../http/errors.js'
import { parseScope, RESERVED_SCOPES } from '../scope.js'
import type { SessionStore } from '../sessions/session.js'
import type { AccessTokens } from '../tokens/access-tokens.js'
import { type AudienceParameters, requestedAudience } from './requested-audience.js'

interface Dependencies {
  sessions: SessionStore
  tokens: AccessTokens
  audit: Audit
}

/** How far in the future `iat` may lie, in seconds: less than verifiers allow for clocks that differ. */
const MAX_ISSUED_AHEAD = 1

/**
 * A client's token for itself (RFC 6749 §4.4). Without `scope` the token has every scope of the client except the reserved
 * ones. A service that receives a token with a reserved scope can act as the client. So the client must ask for that scope,
 * in a token that no other service gets.
 */
export async function issueClientToken(
  request: FastifyRequest,
  client: Client,
  { scope: given, ...target }: AudienceParameters & { scope?: string | undefined },
  { sessions, tokens, audit }: Dependencies,
): Promise<ClientTokenResponse> {
  const { issuer, audiences } = tokens
  const scope = given ?? [...client.scopes].filter((item) => !RESERVED_SCOPES.has(item)).join(' ')
  const audience = requestedAudience(target) ?? [...client.audiences][0] ?? audiences[0]
  const requested = parseScope(scope)
  if (!requested.every((item) => client.scopes.has(item))) {
    throw refusal.invalidScope('scope asks for more than the client has')
  }
  if (!audiences.includes(audience) || (client.audiences.size > 0 && !client.audiences.has(audience))) {
    throw refusal.invalidTarget()
  }
  if (audience !== issuer && requested.some((item) => RESERVED_SCOPES.has(item))) {
    throw refusal.reservedScope(issuer)
  }
  // A revocation ends all tokens up to its second, that second included. So `iat` is at least one second later.
  const issuedAfter = await sessions.clientNotBefore(client.id)
  // A revocation further ahead means that the client is being deleted, and this process still has the client in its cache.
  if (issuedAfter > Date.now() / 1000 + MAX_ISSUED_AHEAD) throw refusal.unavailable()
  const { token, expiresIn } = tokens.issue({
    sub: client.id,
    clientId: client.id,
    scope,
    audience,
    roles: [],
    issuedAfter,
  })
  audit(request, { event: 'client.token_issued', sub: client.id })
  return { access_token: token, token_type: 'Bearer', expires_in: expiresIn, scope }
}
