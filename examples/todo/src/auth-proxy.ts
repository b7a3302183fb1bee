import type { FastifyPluginAsync, FastifyRequest } from 'fastify'
import { answer } from './errors.js'

/**
 * The routes of the token service that the page needs. All other routes are closed. Introspection and administration are for
 * services with a client secret.
 */
const ROUTES = [
  ['POST', '/users'],
  ['POST', '/login'],
  ['POST', '/login/mfa'],
  ['POST', '/login/passkey/options'],
  ['POST', '/login/passkey'],
  ['POST', '/login/step-up'],
  ['POST', '/refresh'],
  ['POST', '/logout'],
  ['GET', '/sessions'],
  ['DELETE', '/sessions'],
  ['DELETE', '/sessions/:id'],
  ['GET', '/users/me/factors'],
  ['DELETE', '/users/me/factors/:id'],
  ['POST', '/users/me/factors/totp'],
  ['POST', '/users/me/factors/totp/confirm'],
  ['POST', '/users/me/factors/passkeys/options'],
  ['POST', '/users/me/factors/passkeys'],
  ['POST', '/users/me/factors/recovery-codes'],
  ['POST', '/recovery/complete'],
] as const

const PASSED_ON = ['authorization', 'content-type', 'user-agent'] as const
const PASSED_BACK = ['content-type', 'cache-control', 'www-authenticate', 'retry-after', 'x-request-id'] as const
/** Milliseconds. Sign-ins may queue for the password hash. */
const TIMEOUT = 10_000

/**
 * `/auth/*` forwards to the token service under the page's own origin. So the page needs no CORS, its policy stays at
 * `connect-src 'self'`, and the token service needs no address outside.
 */
export const authProxy: FastifyPluginAsync<{ tokenService: string; stepUpAfter: number }> = async (
  app,
  { tokenService, stepUpAfter },
) => {
  // Forward bodies unread: the token service validates them.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))

  // A stranger at an open laptop must not end the other devices of its owner. The token service allows it to every token.
  const onRequest = app.requireAuthentication({ maxAge: stepUpAfter })
  forwardTo('POST', '/logout-all', { onRequest })
  for (const [method, url] of ROUTES) forwardTo(method, url)

  function forwardTo(method: string, url: string, guard: { onRequest?: typeof onRequest } = {}) {
    app.route({
      method,
      url,
      ...guard,
      // `..`, also as %2e%2e, would reach routes outside the list.
      schema: { params: { type: 'object', properties: { id: { type: 'string', pattern: '^[\\w-]{1,64}$' } } } },
      handler: async (request, reply) => {
        try {
          const response = await forward(request, new URL(request.url.replace('/auth/', ''), `${tokenService}/`))
          for (const name of PASSED_BACK) {
            const value = response.headers.get(name)
            if (value !== null) reply.header(name, value)
          }
          return reply.code(response.status).send(Buffer.from(await response.arrayBuffer()))
        } catch (error) {
          request.log.warn({ err: error }, 'the token service did not answer')
          reply.header('retry-after', '1')
          return answer(reply, 503, 'temporarily_unavailable', 'sign-in cannot be reached now: try again')
        }
      },
    })
  }
}

function forward(request: FastifyRequest, url: URL): Promise<Response> {
  const headers = new Headers({
    // Replace the header of the caller. The token service trusts this one because its TRUST_PROXY names our address. So
    // people see the addresses of their devices, and throttling counts the right addresses.
    'x-forwarded-for': request.ip,
    'x-request-id': request.id,
  })
  for (const name of PASSED_ON) {
    const value = request.headers[name]
    if (value !== undefined) headers.set(name, value)
  }
  return fetch(url, {
    method: request.method,
    headers,
    body: Buffer.isBuffer(request.body) ? request.body : null,
    redirect: 'manual',
    signal: AbortSignal.timeout(TIMEOUT),
  })
}
