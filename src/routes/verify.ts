import { METHODS } from 'node:http'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Verify } from '../../schemas/verify.js'
import { refusal } from '../http/errors.js'
import { nearlyNarrowing } from './guards/ignored-limits.js'
import { type LiveTokenDependencies, requireLiveToken } from './guards/live-token.js'

/**
 * `ANY /verify`, `ANY /verify/*`: a gateway asks whether to admit a request (forward authentication).
 *
 * It is answered before the body is read, for nginx announces bodies that it never sends, and whatever the gateway passes
 * on of the caller's request (its type, its encoding, its query) is none of our business.
 */
export const verify: FastifyPluginAsyncTypebox<LiveTokenDependencies> = async (app, dependencies) => {
  // Some gateways ask with their caller's own method, and it may be any that Node can parse.
  for (const method of METHODS) if (!app.supportedMethods.includes(method)) app.addHttpMethod(method)
  const answer = { config: { forwardAuth: true }, onRequest: admit, handler: async () => {} }
  for (const url of ['/verify', '/verify/*']) {
    // OpenAPI has no word for "any method": the page shows GET.
    app.route({ url, method: 'GET', schema: Verify, ...answer })
    const others = app.supportedMethods.filter((method) => method !== 'GET' && method !== 'HEAD')
    app.route({ url, method: others, schema: { hide: true }, ...answer })
  }

  async function admit(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    if (announcesBody(request)) closeAfter(request, reply)
    const { claims } = await requireLiveToken(request, dependencies)
    const scopes = claims.scope.split(' ')
    const roles = claims.roles ?? []
    refuseMisspelt(request)
    if (!asked(request, 'aud').every((aud) => claims.aud === aud)) throw refusal.forbidden('audience')
    if (!asked(request, 'scope').every((scope) => scopes.includes(scope))) throw refusal.forbidden('scope')
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
  }
}

/**
 * `roles=admin` asks for nothing, and so would admit everyone. Unknown names are ignored, for Caddy, Envoy and Istio add their
 * caller's own query; a name that is nearly one of ours is refused. A caller who adds such a name locks out itself alone.
 *
 * 403, and not 400: every gateway passes 403 on, and nginx makes a 500 of any other status, which a caller could provoke.
 */
function refuseMisspelt({ query }: FastifyRequest): void {
  for (const name in query as object) {
    if (name === 'aud' || name === 'scope' || name === 'role') continue
    const near = nearlyNarrowing(name)
    if (near && near !== 'resource') throw refusal.misspeltQuestion(near === 'audience' ? 'aud' : near)
  }
}

/**
 * The body that a gateway announced may never come: then the next request on the connection, someone else's, would be
 * taken for it, so there is to be no next one. Or it does come: closed at once, the connection would be reset under a
 * gateway that still sends, and the answer lost with it, so it is closed for writing alone. The limit on how long a
 * request may take ends it.
 */
function closeAfter({ raw: { socket } }: FastifyRequest, reply: FastifyReply): void {
  reply.header('connection', 'close')
  socket.destroySoon = () => void socket.end()
}

function announcesBody({ headers }: FastifyRequest): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
}

/**
 * The words of a query parameter. Given twice, all of them count: Caddy adds the caller's own query to the gateway's, and
 * by adding to it a caller can only ask more of itself.
 */
function asked({ query }: FastifyRequest, name: 'aud' | 'scope' | 'role'): string[] {
  const values = [(query as Record<string, string | string[] | undefined>)[name] ?? []].flat()
  return values.flatMap((value) => value.split(' ')).filter(Boolean)
}
