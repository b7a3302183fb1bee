import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { Verify } from '../../schemas/verify.js'
import { refusal } from '../errors.js'
import { type LiveTokenNeeds, requireLiveToken } from './live-token.js'

/**
 * `ANY /verify`, `ANY /verify/*`: a gateway asks whether to admit a request (forward authentication).
 *
 * It is answered before the body is read, for nginx announces bodies that it never sends, and whatever the gateway passes
 * on of the caller's request (its type, its encoding, its query) is none of our business.
 */
export const verify: FastifyPluginAsyncTypebox<LiveTokenNeeds> = async (app, needs) => {
  for (const url of ['/verify', '/verify/*']) {
    app.all(url, {
      schema: Verify,
      async onRequest(request, reply) {
        const { claims } = await requireLiveToken(request, needs)
        const scopes = claims.scope.split(' ')
        const roles = claims.roles ?? []
        if (!asked(request, 'aud').every((aud) => claims.aud === aud)) throw refusal.forbidden('audience')
        const wanted = asked(request, 'scope')
        if (!wanted.every((scope) => scopes.includes(scope))) throw refusal.insufficientScope(wanted.join(' '))
        if (!asked(request, 'role').every((role) => roles.includes(role))) throw refusal.forbidden('role')

        // Always all of them: a gateway copies what is there over what its caller sent, and Caddy copies a literal
        // placeholder for what is not.
        return reply
          .headers({
            'cache-control': 'no-store',
            'x-auth-sub': claims.sub,
            'x-auth-sid': claims.sid ?? '',
            'x-auth-client-id': claims.client_id,
            'x-auth-scope': claims.scope,
            'x-auth-roles': roles.join(' '),
          })
          .code(200)
          .send()
      },
      handler: async () => {},
    })
  }
}

/**
 * The words of a query parameter. Given twice, all of them count: Caddy adds the caller's own query to the gateway's, and
 * by adding to it a caller can only ask more of itself.
 */
function asked({ query }: FastifyRequest, name: 'aud' | 'scope' | 'role'): string[] {
  const values = [(query as Record<string, string | string[] | undefined>)[name] ?? []].flat()
  return values.flatMap((value) => value.split(' ')).filter(Boolean)
}
