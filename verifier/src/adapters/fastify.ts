import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { type AuthenticationDemand, requireDemand } from '../token/authentication.js'
import type { AccessTokenClaims } from '../token/claims.js'
import type { Verifier } from '../verifier.js'
import { createBearerRules, type Refusal, requireWords } from './bearer.js'

/** A guard, for a route's or a whole scope's `onRequest`: it has answered by itself where it refuses. */
export type Guard = (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>

declare module 'fastify' {
  interface FastifyInstance {
    /** Guard: any good token. */
    requireToken: Guard
    /** Guard: a good token with all of these scopes. */
    requireScope(...scopes: [string, ...string[]]): Guard
    /** Guard: a good token with all of these roles. */
    requireRole(...roles: [string, ...string[]]): Guard
    /** Guard: a person who authenticated as strongly and as recently as this. Otherwise 401 asks to step up. */
    requireAuthentication(demand: AuthenticationDemand): Guard
  }
  interface FastifyRequest {
    /** The claims of the request's token. Behind a guard they are there; elsewhere, asking for them throws. */
    readonly claims: AccessTokenClaims
  }
}

export interface LatchkeyPluginOptions {
  verifier: Verifier
  /** Named in `WWW-Authenticate`. */
  realm?: string
}

type Check = (claims: AccessTokenClaims) => Refusal | undefined

/**
 * Fastify 5 plugin: the guards `requireToken`, `requireScope`, `requireRole` and `requireAuthentication`, and `request.claims` behind them.
 *
 * ```ts
 * await app.register(latchkey, { verifier })
 * app.get('/todos', { onRequest: app.requireScope('todo:read') }, async (request) => todosOf(request.claims.sub))
 * ```
 */
export async function latchkey(app: FastifyInstance, { verifier, realm }: LatchkeyPluginOptions): Promise<void> {
  const rules = createBearerRules(verifier, realm)
  const known = new WeakMap<FastifyRequest, AccessTokenClaims>()

  const guard = (check: Check): Guard => {
    return async (request, reply) => {
      let claims = known.get(request)
      if (!claims) {
        const bearer = await rules.authenticate(request.headers.authorization)
        if (bearer.refusal) {
          request.log.info({ reason: bearer.reason }, 'token refused')
          return refuse(reply, bearer.refusal)
        }
        claims = bearer.claims
        known.set(request, claims)
      }
      const refusal = check(claims)
      return refusal && refuse(reply, refusal)
    }
  }

  app.decorate(
    'requireToken',
    guard(() => undefined),
  )
  app.decorate('requireScope', (...scopes: string[]) => {
    requireWords(scopes, 'scope')
    return guard((claims) => rules.missingScope(claims, scopes))
  })
  app.decorate('requireRole', (...roles: string[]) => {
    requireWords(roles, 'role')
    return guard((claims) => rules.missingRole(claims, roles))
  })
  app.decorate('requireAuthentication', (demand: AuthenticationDemand) => {
    requireDemand(demand)
    return guard((claims) => rules.insufficientAuthentication(claims, demand))
  })
  app.decorateRequest('claims', {
    getter(this: FastifyRequest) {
      const claims = known.get(this)
      // A route that forgot its guard must not take nobody for somebody.
      if (!claims) throw new Error('this route has no guard: give it onRequest: app.requireToken')
      return claims
    },
  })
}

// What fastify-plugin does: the decorators are for the scope that registers this, not for one of our own.
Object.assign(latchkey, { [Symbol.for('skip-override')]: true, [Symbol.for('fastify.display-name')]: 'latchkey' })

export default latchkey

function refuse(reply: FastifyReply, { status, headers, body }: Refusal): FastifyReply {
  return reply.code(status).headers(headers).type('application/json; charset=utf-8').send(body)
}
