import type { FastifyRequest, preValidationHookHandler } from 'fastify'
import type { Audit } from '../../audit.js'
import { hasPostedCredentials } from '../../clients/client-authentication.js'
import type { Client } from '../../clients/clients.js'
import { refusal } from '../../http/errors.js'
import { parseScope } from '../../scope.js'
import { bearerToken } from './bearer.js'
import { findLiveToken, type LiveTokenDependencies } from './live-token.js'

interface Dependencies extends LiveTokenDependencies {
  audit: Audit
}

type Hook = (request: FastifyRequest) => Promise<void>

/**
 * `preValidation` hook: a client with this scope calls. Otherwise the answer is 401 or 403. The hook takes a callback, because
 * an `async` hook would cost each introspection one more promise.
 */
export function requireClient(scope: string, dependencies: Dependencies): preValidationHookHandler {
  return (request, _reply, done) => {
    const { headers, body } = request
    const cached = dependencies.clients.authenticateCached({ authorization: headers.authorization, body })
    if (cached?.scopes.has(scope)) {
      request.client = cached
      return done()
    }
    findClient(request, scope, dependencies).then((client) => {
      request.client = client
      done()
    }, done)
  }
}

/** `preValidation` hook: a client calls and proves itself with its secret. Otherwise the answer is 401. */
export function requireClientSecret(dependencies: Dependencies): Hook {
  return async (request) => {
    request.client = await authenticateClient(request, dependencies)
  }
}

/** `preValidation` hook: a request without client credentials may pass. Wrong credentials get 401. */
export function checkClientSecret(dependencies: Dependencies): Hook {
  return async (request) => {
    if (presentsClient(request)) await authenticateClient(request, dependencies)
  }
}

/**
 * A client proves itself with its secret, in the header or in the body, or with its own token that has the scope.
 *
 * The token's audience must be this service. A service that received a token for another audience could otherwise act as the
 * client. A private key must have signed the token. The verifying services know a shared secret, and must not open these
 * endpoints with it.
 */
async function findClient(request: FastifyRequest, scope: string, dependencies: Dependencies): Promise<Client> {
  const token = bearerToken(request)
  if (token === undefined) {
    const client = await authenticateClient(request, dependencies)
    if (!client.scopes.has(scope)) throw refusal.insufficientScope(scope)
    return client
  }
  const live = await findLiveToken(token, dependencies)
  // A token with a session belongs to a person, whatever its scope says.
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
  // The client may have lost the scope after the token was issued.
  const isGranted = parseScope(live.claims.scope).includes(scope) && client.scopes.has(scope)
  if (!isGranted) throw refusal.insufficientScope(scope)
  return client
}

/** The client that calls, authenticated by its secret (RFC 6749 §2.3.1). Throws 401 for every other request. */
export async function authenticateClient(request: FastifyRequest, { clients, audit }: Dependencies): Promise<Client> {
  const client = await clients.authenticate({ authorization: request.headers.authorization, body: request.body })
  if (client) return client
  audit(request, { event: 'client.refused' })
  throw refusal.invalidClient()
}

/** Whether a request tries to authenticate a client, rightly or wrongly. */
export function presentsClient({ headers, body }: FastifyRequest): boolean {
  return /^basic /i.test(headers.authorization ?? '') || hasPostedCredentials(body)
}
