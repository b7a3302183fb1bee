import { FIRST_PARTY_CLIENT_ID } from '@latchkey/verifier/access-token'
import type { FastifyRequest } from 'fastify'
import type { Audit } from '../../audit.js'
import { RESERVED_SCOPES } from '../../clients/clients.js'
import { type AudienceParameters, requestedAudience } from '../../grants/requested-audience.js'
import { refusal } from '../../http/errors.js'
import type { RefreshCookie } from '../../http/refresh-cookie.js'
import { parseScope } from '../../scope.js'
import type { Session } from '../../sessions/session.js'
import { authenticateClient, presentsClient } from './client.js'
import type { LiveTokenDependencies } from './live-token.js'

interface SessionFields extends AudienceParameters {
  scope?: string
  device_name?: string
  refresh_in?: 'body' | 'cookie'
}

/** Guard: the session that a sign-in asks for. Only clients may have the reserved scopes. */
export async function readSessionRequest(
  request: FastifyRequest,
  body: SessionFields,
  dependencies: LiveTokenDependencies & { audit: Audit; refreshCookie: RefreshCookie },
): Promise<Pick<Session, 'clientId' | 'scope' | 'audience' | 'deviceName'>> {
  const { audiences } = dependencies.tokens
  const { scope = '', device_name: deviceName = null } = body
  const audience = requestedAudience(body) ?? audiences[0]
  if (parseScope(scope).some((item) => RESERVED_SCOPES.has(item))) {
    throw refusal.invalidScope(
      `scope has one of ${[...RESERVED_SCOPES].join(', ')}: only clients may have these scopes`,
    )
  }
  if (!audiences.includes(audience)) throw refusal.invalidTarget()
  const clientId = await callingClientId(request, dependencies)
  if (body.refresh_in === 'cookie' && clientId !== FIRST_PARTY_CLIENT_ID) {
    throw refusal.invalidRequest('refresh_in=cookie is for sign-ins without a client: leave out one of them')
  }
  dependencies.refreshCookie.choose(request, body.refresh_in)
  return { clientId, scope, audience, deviceName }
}

/** The client that authenticates itself in a sign-in. Its sessions belong to it. */
export async function callingClientId(
  request: FastifyRequest,
  dependencies: LiveTokenDependencies & { audit: Audit },
): Promise<string> {
  return presentsClient(request) ? (await authenticateClient(request, dependencies)).id : FIRST_PARTY_CLIENT_ID
}
