import type { IncomingMessage, ServerResponse } from 'node:http'
import { type AuthenticationDemand, requireDemand } from '../token/authentication.js'
import type { AccessTokenClaims } from '../token/claims.js'
import type { Verifier } from '../verifier.js'
import { createBearerRules, type Refusal, requireWords } from './bearer.js'

declare module 'http' {
  interface IncomingMessage {
    /** The claims of the request's token, behind one of `createGuards`'s guards. */
    claims?: AccessTokenClaims
  }
}

/** Connect and Express middleware: it has answered by itself where it refuses. */
export type Guard = (request: IncomingMessage, response: ServerResponse, next: (error?: unknown) => void) => void

export interface Guards {
  /** Any good token. */
  requireToken: Guard
  /** A good token with all of these scopes. */
  requireScope(...scopes: [string, ...string[]]): Guard
  /** A good token with all of these roles. */
  requireRole(...roles: [string, ...string[]]): Guard
  /** A good token of a person who authenticated as strongly and as recently as this. Otherwise 401 asks to step up. */
  requireAuthentication(demand: AuthenticationDemand): Guard
}

export interface GuardOptions {
  /** Named in `WWW-Authenticate`. */
  realm?: string
}

/**
 * Middleware for Connect and Express. Behind a guard, `request.claims` has the claims of the token.
 *
 * ```ts
 * const { requireScope } = createGuards(verifier)
 * app.get('/todos', requireScope('todo:read'), (request, response) => response.json(todosOf(request.claims.sub)))
 * ```
 */
export function createGuards(verifier: Verifier, { realm }: GuardOptions = {}): Guards {
  const rules = createBearerRules(verifier, realm)
  // Not the property itself: another middleware may have written it.
  const known = new WeakMap<IncomingMessage, AccessTokenClaims>()

  async function admit(
    request: IncomingMessage,
    check: (claims: AccessTokenClaims) => Refusal | undefined,
  ): Promise<Refusal | undefined> {
    let claims = known.get(request)
    if (!claims) {
      const bearer = await rules.authenticate(request.headers.authorization)
      if (bearer.refusal) return bearer.refusal
      claims = bearer.claims
      known.set(request, claims)
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
      requireWords(scopes, 'scope')
      return guard((claims) => rules.missingScope(claims, scopes))
    },
    requireRole(...roles) {
      requireWords(roles, 'role')
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
