import { METHODS } from 'node:http'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { type AuthenticationDemand, meetsAuthentication } from '@latchkey/verifier/access-token'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Verify } from '../../schemas/verify.js'
import { actorsOf } from '../grants/token-exchange.js'
import { refusal } from '../http/errors.js'
import { parseScope } from '../scope.js'
import { misspeltNarrowing, plainName } from './guards/ignored-limits.js'
import { type LiveTokenDependencies, requireLiveToken } from './guards/live-token.js'

/**
 * `ANY /verify`, `ANY /verify/*`: a gateway asks whether to admit a request (forward authentication).
 *
 * The answer comes before the body is read, because nginx announces bodies that it never sends. The type, the encoding and the
 * query that the gateway passes on belong to its caller, and are not checked.
 */
export const verify: FastifyPluginAsyncTypebox<LiveTokenDependencies> = async (app, dependencies) => {
  // Some gateways ask with their caller's own method, and it may be any that Node can parse.
  for (const method of METHODS) if (!app.supportedMethods.includes(method)) app.addHttpMethod(method)
  const answer = { config: { forwardAuth: true }, onRequest: admit, handler: async () => {} }
  for (const url of ['/verify', '/verify/*']) {
    // OpenAPI cannot say "any method", so its page shows GET.
    app.route({ url, method: 'GET', schema: Verify, ...answer })
    const others = app.supportedMethods.filter((method) => method !== 'GET' && method !== 'HEAD')
    app.route({ url, method: others, schema: { hide: true }, ...answer })
  }

  async function admit(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    if (announcesBody(request)) closeAfter(request, reply)
    const { claims } = await requireLiveToken(request, dependencies)
    const scopes = parseScope(claims.scope)
    const roles = claims.roles ?? []
    refuseMisspelt(request)
    if (!demanded(request, 'aud').every((aud) => claims.aud === aud)) throw refusal.forbidden('audience')
    if (!demanded(request, 'scope').every((scope) => scopes.includes(scope))) throw refusal.forbidden('scope')
    if (!demanded(request, 'role').every((role) => roles.includes(role))) throw refusal.forbidden('role')

    const authentication = demandedAuthentication(request)
    if (authentication && !meetsAuthentication(claims, authentication, Date.now())) {
      throw refusal.insufficientAuthentication(authentication)
    }

    // The answer always has every header. A gateway overwrites its caller's headers only with headers of this answer, and Caddy
    // copies a literal placeholder for a missing one.
    return reply
      .headers({
        'cache-control': 'no-store',
        'x-auth-sub': claims.sub,
        'x-auth-sid': claims.sid ?? '',
        'x-auth-client-id': claims.client_id,
        'x-auth-scope': claims.scope,
        'x-auth-roles': roles.join(' '),
        'x-auth-time': claims.auth_time === undefined ? '' : String(claims.auth_time),
        'x-auth-amr': claims.amr?.join(' ') ?? '',
        'x-auth-acr': claims.acr ?? '',
        'x-auth-act': claims.act ? actorsOf(claims.act).join(' ') : '',
      })
      .code(200)
      .send()
  }
}

/** The parameters that demand something of the token. */
const QUESTIONS: ReadonlySet<string> = new Set(['aud', 'scope', 'role', 'acr', 'max_age'])

/** What a name without its marks may mean. */
const AUTHENTICATION_NAMES: ReadonlyMap<string, 'acr' | 'max_age'> = new Map([
  ['acr', 'acr'],
  ['acrvalue', 'acr'],
  ['maxage', 'max_age'],
])

/**
 * Refuses a misspelt parameter: `roles=admin` would demand nothing, and so admit everyone. Other unknown names are ignored,
 * because Caddy, Envoy and Istio add their caller's query. A caller who adds a misspelt name only locks itself out.
 *
 * The status is 403, not 400. Every gateway passes 403 on. nginx turns other statuses into 500, and a caller could provoke that.
 */
function refuseMisspelt({ query }: FastifyRequest): void {
  for (const name in query as object) {
    if (QUESTIONS.has(name)) continue
    const demand = AUTHENTICATION_NAMES.get(plainName(name))
    if (demand) throw refusal.misspeltQuestion(demand)
    const near = misspeltNarrowing(name)
    if (near && near !== 'resource') throw refusal.misspeltQuestion(near === 'audience' ? 'aud' : near)
  }
}

/**
 * Ends the connection after the answer, because a gateway may never send the body that it announced. Node would then read the
 * next request, of another caller, as that body. The gateway may also still send the body. Closing both directions would
 * reset the connection and lose the answer, so this closes only the sending side. The request timeout closes the other side.
 */
function closeAfter({ raw: { socket } }: FastifyRequest, reply: FastifyReply): void {
  reply.header('connection', 'close')
  socket.destroySoon = () => void socket.end()
}

function announcesBody({ headers }: FastifyRequest): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
}

/**
 * The demanded authentication (RFC 9470), or undefined. When a parameter appears twice, the stricter value counts. A value that
 * means nothing is refused: ignoring it would demand nothing.
 */
function demandedAuthentication(request: FastifyRequest): AuthenticationDemand | undefined {
  const { acr, max_age: age } = request.query as Record<string, unknown>
  if (acr === undefined && age === undefined) return undefined
  const acrs = demanded(request, 'acr')
  const ages = demanded(request, 'max_age')
  if (acrs.length === 0 && ages.length === 0) return undefined
  if (!acrs.every((acr) => acr === '1' || acr === '2')) throw refusal.brokenQuestion('acr must be 1 or 2')
  if (!ages.every((age) => /^\d{1,9}$/.test(age))) {
    throw refusal.brokenQuestion('max_age must be a whole number of seconds')
  }
  return {
    ...(acrs.length > 0 && { acr: acrs.includes('2') ? '2' : '1' }),
    ...(ages.length > 0 && { maxAge: Math.min(...ages.map(Number)) }),
  }
}

/**
 * The demanded values of a query parameter. When the parameter appears twice, all values count. Caddy adds its caller's query
 * to the gateway's, and so a caller can only demand more of itself.
 */
function demanded({ query }: FastifyRequest, name: 'aud' | 'scope' | 'role' | 'acr' | 'max_age'): string[] {
  const values = [(query as Record<string, string | string[] | undefined>)[name] ?? []].flat()
  return values.flatMap(parseScope)
}
