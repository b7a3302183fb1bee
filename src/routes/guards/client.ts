import type { FastifyRequest } from 'fastify'
import type { Audit } from '../../audit.js'
import { hasPostedCredentials } from '../../clients/client-authentication.js'
import type { Client } from '../../clients/clients.js'
import { refusal } from '../../http/errors.js'
import { bearerToken } from './bearer.js'
import { findLiveToken, type LiveTokenDependencies } from './live-token.js'

interface Dependencies extends LiveTokenDependencies {
  audit: Audit
}

/**
 * Guard: the client that calls, with this scope; or 401, or 403. It proves itself by its secret, in the header or the
 * body, or by a token of its own that has the scope.
 *
 * The token must be for this service alone: a service that was handed another one could act as the client. And it must be
 * signed with a private key: what a verifying service knows opens none of these endpoints.
 */
export async function requireClient(
  request: FastifyRequest,
  scope: string,
  dependencies: Dependencies,
): Promise<Client> {
  const token = bearerToken(request)
  if (token === undefined) {
    const client = await authenticateClient(request, dependencies)
    if (!client.scopes.has(scope)) throw refusal.insufficientScope(scope)
    return client
  }
  const live = await findLiveToken(token, dependencies)
  // A person's token is no client's, whatever its scope says.
  const client = live && live.claims.sid === undefined ? await dependencies.clients.find(live.claims.sub) : undefined
  if (!live || !client) {
    dependencies.audit(request, { event: 'client.refused' })
    throw refusal.invalidClient()
  }
  if (dependencies.tokens.hasSharedKey(token) || live.claims.aud !== dependencies.tokens.issuer) {
    dependencies.audit(request, { event: 'client.refused' })
    throw refusal.unusableClientToken(
      dependencies.tokens.hasSharedKey(token)
        ? 'a bearer token opens this only where a private key signs tokens: send id and secret by HTTP Basic'
        : `the token is for another audience: ask /token for one with audience=${dependencies.tokens.issuer}`,
    )
  }
  // The token may have been issued before the client lost the scope.
  const isGranted = live.claims.scope.split(' ').includes(scope) && client.scopes.has(scope)
  if (!isGranted) throw refusal.insufficientScope(scope)
  return client
}

/** Guard: the client that calls, by its secret; or 401 (RFC 6749 §2.3.1). */
export async function authenticateClient(request: FastifyRequest, { clients, audit }: Dependencies): Promise<Client> {
  const client = await clients.authenticate({ authorization: request.headers.authorization, body: request.body })
  if (client) return client
  audit(request, { event: 'client.refused' })
  throw refusal.invalidClient()
}

/** Whether a request tries to authenticate a client at all. */
export function presentsClient({ headers, body }: FastifyRequest): boolean {
  return /^basic /i.test(headers.authorization ?? '') || hasPostedCredentials(body)
}
