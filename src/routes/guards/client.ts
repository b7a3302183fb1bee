import type { FastifyRequest, preValidationHookHandler } from 'fastify'
import type { Audit } from '../../audit.js'
import {
  hasClientAssertion,
  hasPostedCredentials,
  type PresentedAssertion,
  readClientAssertion,
} from '../../clients/client-authentication.js'
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

/** `preValidation` hook: a client calls and proves itself with its secret or an assertion. Otherwise the answer is 401. */
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
 * A client proves itself with its secret, with an assertion, or with its own token that has the scope. Some routes take no body, so
 * the bearer token may be an assertion too (JWT-SVID §5.2 sends it in this way).
 *
 * The token's audience must be this service. A service that received a token for another audience could otherwise act as the
 * client. A private key must have signed the token. The verifying services know a shared secret, and must not open these
 * endpoints with it.
 */
async function findClient(request: FastifyRequest, scope: string, dependencies: Dependencies): Promise<Client> {
  const token = bearerToken(request)
  if (token === undefined) {
    const client = await authenticateClient(request, dependencies)
    return requireScope(client, scope)
  }
  if (hasClientAssertion(request.body)) throw refusal.invalidRequest(TWO_WAYS)
  const live = await findLiveToken(token, dependencies)
  // A token with a session belongs to a person, whatever its scope says.
  const client = live && live.claims.sid === undefined ? await dependencies.clients.find(live.claims.sub) : undefined
  if (!live) return requireScope(await authenticateByAssertion(request, { assertion: token }, dependencies), scope)
  if (!client) {
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

const TWO_WAYS = 'the client authenticates in two ways: send the assertion, or the bearer token'

function requireScope(client: Client, scope: string): Client {
  if (!client.scopes.has(scope)) throw refusal.insufficientScope(scope)
  return client
}

async function authenticateByAssertion(
  request: FastifyRequest,
  presented: PresentedAssertion,
  { clients, audit }: Dependencies,
): Promise<Client> {
  const result = await clients.authenticateAssertion(presented)
  if (result.outcome === 'accepted') return result.client
  const { method, reason, unbound } = result
  audit(request, { event: 'client.refused', method, reason, ...unbound })
  throw refusal.invalidClient()
}

/**
 * The client that calls, authenticated by its secret (RFC 6749 §2.3.1) or by an assertion (RFC 7523 §2.2). Throws 401 for
 * every other request.
 */
export async function authenticateClient(request: FastifyRequest, dependencies: Dependencies): Promise<Client> {
  const presented = readClientAssertion({ authorization: request.headers.authorization, body: request.body })
  if (presented) {
    if ('fault' in presented) throw refusal.invalidRequest(presented.fault)
    return authenticateByAssertion(request, presented, dependencies)
  }
  const { clients, audit } = dependencies
  const client = await clients.authenticate({ authorization: request.headers.authorization, body: request.body })
  if (client) return client
  audit(request, { event: 'client.refused' })
  throw refusal.invalidClient()
}

/** Whether a request tries to authenticate a client, rightly or wrongly. */
export function presentsClient({ headers, body }: FastifyRequest): boolean {
  return /^basic /i.test(headers.authorization ?? '') || hasPostedCredentials(body)
}
