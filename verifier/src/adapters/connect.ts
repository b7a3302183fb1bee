import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AccessTokenClaims } from '../token/claims.js'
import type { Verifier } from '../token-verifier.js'
import {
  type Check,
  createBearerRules,
  createGuardSet,
  type GuardOptions,
  type GuardSet,
  type Refusal,
} from './bearer.js'

declare module 'http' {
  interface IncomingMessage {
    /** The claims of the request's token, after a guard of `createGuards` has verified it. */
    claims?: AccessTokenClaims
  }
}

/** Connect and Express middleware. If it refuses the request, it sends the response itself. */
export type Guard = (request: IncomingMessage, response: ServerResponse, next: (error?: unknown) => void) => void

export type Guards = GuardSet<Guard>

export type { GuardOptions } from './bearer.js'

/**
 * Middleware for Connect and Express. After a guard, `request.claims` has the claims of the token.
 *
 * ```ts
 * const { requireScope } = createGuards(verifier)
 * app.get('/todos', requireScope('todo:read'), (request, response) => response.json(todosOf(request.claims?.sub)))
 * ```
 */
export function createGuards(verifier: Verifier, { realm, onRefused }: GuardOptions<IncomingMessage> = {}): Guards {
  const rules = createBearerRules(verifier, realm)
  // Not `request.claims` itself: other middleware may have written the property.
  const verified = new WeakMap<IncomingMessage, AccessTokenClaims>()

  async function admit(request: IncomingMessage, check: Check): Promise<Refusal | undefined> {
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

  const guard = (check: Check): Guard => {
    return (request, response, next) => {
      admit(request, check)
        .then((refusal) => {
          if (!refusal) return next()
          // Other middleware may have answered in the meantime, for example after a timeout.
          if (!response.headersSent) refuse(response, refusal)
        })
        .catch((error: unknown) => next(error))
    }
  }

  return createGuardSet(rules, guard)
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
