import type { IncomingMessage, ServerResponse } from 'node:http'
import { type AuthenticationDemand, requireDemand } from '../token/authentication.js'
import type { AccessTokenClaims } from '../token/claims.js'
import type { Verifier } from '../token-verifier.js'
import { createBearerRules, type GuardOptions, type Refusal, requireNames } from './bearer.js'

declare module 'http' {
  interface IncomingMessage {
    /** The claims of the request's token, after a guard of `createGuards` has verified it. */
    claims?: AccessTokenClaims
  }
}

/** Connect and Express middleware. If it refuses the request, it sends the response itself. */
export type Guard = (request: IncomingMessage, response: ServerResponse, next: (error?: unknown) => void) => void

export interface Guards {
  /** A valid token. */
  requireToken: Guard
  /** A valid token with all of these scopes. */
  requireScope(...scopes: [string, ...string[]]): Guard
  /** A valid token with all of these roles. */
  requireRole(...roles: [string, ...string[]]): Guard
  /** A good token of a person who authenticated as strongly and as recently as this. Otherwise 401 asks to step up. */
  requireAuthentication(demand: AuthenticationDemand): Guard
}

export type { GuardOptions } from './bearer.js'

/**
 * Middleware for Connect and Express. After a guard, `request.claims` has the claims of the token.
 *
 * ```ts
 * const { requireScope } = createGuards(verifier)
 * app.get('/todos', requireScope('todo:read'), (request, response) => response.json(todosOf(request.claims.sub)))
 * ```
 */
export function createGuards(verifier: Verifier, { realm, onRefused }: GuardOptions<IncomingMessage> = {}): Guards {
  const rules = createBearerRules(verifier, realm)
  // Not `request.claims` itself: other middleware may have written the property.
  const verified = new WeakMap<IncomingMessage, AccessTokenClaims>()

  async function admit(
    request: IncomingMessage,
    check: (claims: AccessTokenClaims) => Refusal | undefined,
  ): Promise<Refusal | undefined> {
    let claims = verified.get(request)
    if (!claims) {
      const authentication = await rules.authenticate(request.headers.authorization)
      if (authentication.refusal) {
        if (authentication.error) onRefused?.(authentication.error, request)
        return authentication.refusal
      }
      claims = authentication.claims
      verified.set(request, claims)
    }
    request.claims = claims
    return check(claims)
  }

  const guard = (check: (claims: AccessTokenClaims) => Refusal | undefined): Guard => {
    return (request, response, next) => {
      admit(request, check).then(
        (refusal) => (refusal ? refuse(response, refusal) : next()),
        (error: unknown) => next(error),
      )
    }
  }

  return {
    requireToken: guard(() => undefined),
    requireScope(...scopes) {
      requireNames(scopes, 'scope')
      return guard((claims) => rules.missingScope(claims, scopes))
    },
    requireRole(...roles) {
      requireNames(roles, 'role')
      return guard((claims) => rules.missingRole(claims, roles))
    },
    requireAuthentication(demand) {
      requireDemand(demand)
      return guard((claims) => rules.insufficientAuthentication(claims, demand))
    },
  }
}

function refuse(response: ServerResponse, { status, headers, body }: Refusal): void {
  const text = JSON.stringify(body)
  response.writeHead(status, {
    ...headers,
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(text),
  })
  response.end(text)
}
