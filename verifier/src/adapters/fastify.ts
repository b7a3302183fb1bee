import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
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

/** An `onRequest` hook for a route or a whole plugin. If it refuses the request, it sends the response itself. */
export type Guard = (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>

declare module 'fastify' {
  interface FastifyInstance extends GuardSet<Guard> {}
  interface FastifyRequest {
    /** The claims of the request's token. Throws if no guard has verified the request. */
    readonly claims: AccessTokenClaims
  }
}

export interface LatchkeyPluginOptions extends GuardOptions<FastifyRequest> {
  verifier: Verifier
}

/**
 * Fastify 5 plugin: the guards `requireToken`, `requireScope`, `requireRole` and `requireAuthentication`, and `request.claims`
 * behind them.
 *
 * ```ts
 * await app.register(latchkey, { verifier })
 * app.get('/todos', { onRequest: app.requireScope('todo:read') }, async (request) => todosOf(request.claims.sub))
 * ```
 */
export async function latchkey(
  app: FastifyInstance,
  { verifier, realm, onRefused }: LatchkeyPluginOptions,
): Promise<void> {
  const rules = createBearerRules(verifier, realm)
  const verified = new WeakMap<FastifyRequest, AccessTokenClaims>()

  const guard = (check: Check): Guard => {
    return async (request, reply) => {
      let claims = verified.get(request)
      if (!claims) {
        const authentication = await rules.authenticate(request.headers.authorization)
        if (authentication.refusal) {
          const { error } = authentication
          request.log.info({ reason: error?.message ?? 'no_token' }, 'token refused')
          if (error) onRefused?.(error, request)
          return refuse(reply, authentication.refusal)
        }
        claims = authentication.claims
        verified.set(request, claims)
      }
      const refusal = check(claims)
      return refusal && refuse(reply, refusal)
    }
  }

  const guards = createGuardSet(rules, guard)
  app.decorate('requireToken', guards.requireToken)
  app.decorate('requireScope', guards.requireScope)
  app.decorate('requireRole', guards.requireRole)
  app.decorate('requireAuthentication', guards.requireAuthentication)
  app.decorateRequest('claims', {
    getter(this: FastifyRequest) {
      const claims = verified.get(this)
      // Without this error, a route without a guard would serve strangers.
      if (!claims) throw new Error('this route has no guard: add onRequest: app.requireToken')
      return claims
    },
  })
}

// As fastify-plugin does: the decorators belong to the scope that registers the plugin, not to a new child scope.
Object.assign(latchkey, { [Symbol.for('skip-override')]: true, [Symbol.for('fastify.display-name')]: 'latchkey' })

export default latchkey

function refuse(reply: FastifyReply, { status, headers, body }: Refusal): FastifyReply {
  return reply.code(status).headers(headers).type('application/json; charset=utf-8').send(body)
}
