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

export type { GuardOptions } from './bearer.js'

/** A guard for Web-standard requests. Returns the claims of the token, or the response that refuses the request. */
export type Guard = (request: Request) => Promise<AccessTokenClaims | Response>

export type Guards = GuardSet<Guard>

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

  const guard = (check: Check): Guard => {
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

  return createGuardSet(rules, guard)
}

function refuse({ status, headers, body }: Refusal): Response {
  return new Response(JSON.stringify(body), {
    status,
    headers: { ...headers, 'content-type': 'application/json; charset=utf-8' },
  })
}
