import { FIRST_PARTY_CLIENT_ID } from '@latchkey/verifier/access-token'
import type { FastifyRequest } from 'fastify'
import type { Audit } from '../../audit.js'
import { type AudienceParameters, requestedAudience } from '../../grants/requested-audience.js'
import { refusal } from '../../http/errors.js'
import type { RefreshCookie } from '../../http/refresh-cookie.js'
import { parseScope, RESERVED_SCOPES } from '../../scope.js'
import type { Session } from '../../sessions/session.js'
import { authenticateClient, presentsClient } from '../guards/client.js'
import type { LiveTokenDependencies } from '../guards/live-token.js'

interface SessionFields extends AudienceParameters {
  scope?: string
  device_name?: string
  refresh_in?: 'body' | 'cookie'
}

/**
 * Reads the session that a sign-in asks for. Only clients may have the reserved scopes, with one exception. A person who
 * administrates asks for `admin`, for `ISSUER`. `beginSession` checks the role when the person has proved who they are.
 */
export async function readSessionRequest(
  request: FastifyRequest,
  body: SessionFields,
  dependencies: LiveTokenDependencies & { audit: Audit; refreshCookie: RefreshCookie },
): Promise<Pick<Session, 'clientId' | 'scope' | 'audience' | 'deviceName'>> {
  const { audiences } = dependencies.tokens
  const { scope = '', device_name: deviceName = null } = body
  const audience = requestedAudience(body) ?? audiences[0]
  const reserved = parseScope(scope).filter((item) => RESERVED_SCOPES.has(item))
  if (reserved.some((item) => item !== 'admin')) {
    throw refusal.invalidScope(
      `scope has one of ${[...RESERVED_SCOPES].join(', ')}: only clients may have these scopes`,
    )
  }
  if (!audiences.includes(audience)) throw refusal.invalidTarget()
  const clientId = await callingClientId(request, dependencies)
  if (body.refresh_in === 'cookie' && clientId !== FIRST_PARTY_CLIENT_ID) {
    throw refusal.invalidRequest('refresh_in=cookie is for sign-ins without a client: leave out one of them')
  }
  if (reserved.length > 0) requireOwnAdministration(audience, clientId, dependencies.tokens.issuer)
  dependencies.refreshCookie.choose(request, body.refresh_in)
  return { clientId, scope, audience, deviceName }
}

/** No service may hold a token that administrates: neither as its audience, nor as the client that owns the session. */
function requireOwnAdministration(audience: string, clientId: string, issuer: string): void {
  if (audience !== issuer) throw refusal.invalidScope(`scope has admin: send audience=${issuer} with it`)
  if (clientId !== FIRST_PARTY_CLIENT_ID) {
    throw refusal.invalidScope('scope has admin: a person signs in without the credentials of a client')
  }
}

/** The client that authenticates itself in a sign-in. Its sessions belong to it. */
export async function callingClientId(
  request: FastifyRequest,
  dependencies: LiveTokenDependencies & { audit: Audit },
): Promise<string> {
  return presentsClient(request) ? (await authenticateClient(request, dependencies)).id : FIRST_PARTY_CLIENT_ID
}
