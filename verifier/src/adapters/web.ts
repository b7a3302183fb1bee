import { type AuthenticationDemand, requireDemand } from '../token/authentication.js'
import type { AccessTokenClaims } from '../token/claims.js'
import type { Verifier } from '../token-verifier.js'
import { createBearerRules, type GuardOptions, type Refusal, requireNames } from './bearer.js'

export type { GuardOptions } from './bearer.js'

/** A guard for Web-standard requests. Returns the claims of the token, or the response that refuses the request. */
export type Guard = (request: Request) => Promise<AccessTokenClaims | Response>

export interface Guards {
  /** A valid token. */
  requireToken: Guard
  /** A valid token with all of these scopes. */
  requireScope(...scopes: [string, ...string[]]): Guard
  /** A valid token with all of these roles. */
  requireRole(...roles: [string, ...string[]]): Guard
  /** A valid token of a person who authenticated as strongly and as recently as this. Otherwise 401 asks to step up. */
  requireAuthentication(demand: AuthenticationDemand): Guard
}

/**
 * Guards for frameworks that use the Web's `Request` and `Response`, for example Hono.
 *
 * ```ts
 * const { requireScope } = createGuards(verifier)
 * const readTodos = requireScope('todo:read')
 * app.get('/todos', async (context) => {
 *   const claims = await readTodos(context.req.raw)
 *   return claims instanceof Response ? claims : context.json(todosOf(claims.sub))
 * })
 * ```
 */
export function createGuards(verifier: Verifier, { realm, onRefused }: GuardOptions<Request> = {}): Guards {
  const rules = createBearerRules(verifier, realm)

  const guard = (check: (claims: AccessTokenClaims) => Refusal | undefined): Guard => {
    return async (request) => {
      const authentication = await rules.authenticate(request.headers.get('authorization') ?? undefined)
      if (authentication.refusal) {
        if (authentication.error) onRefused?.(authentication.error, request)
        return refuse(authentication.refusal)
      }
      const refusal = check(authentication.claims)
      return refusal ? refuse(refusal) : authentication.claims
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

function refuse({ status, headers, body }: Refusal): Response {
  return new Response(JSON.stringify(body), {
    status,
    headers: { ...headers, 'content-type': 'application/json; charset=utf-8' },
  })
}
