import type { FastifyPluginAsync, FastifyRequest } from 'fastify'
import { answer } from './errors.js'

/**
 * What the page needs of the token service, and no more: the list is the door. Introspection and administration are for
 * services that hold a client secret, and are not reached from here.
 */
const ROUTES = [
  ['POST', '/users'],
  ['POST', '/login'],
  ['POST', '/refresh'],
  ['POST', '/logout'],
  ['POST', '/logout-all'],
  ['GET', '/sessions'],
  ['DELETE', '/sessions'],
  ['DELETE', '/sessions/:sid'],
] as const

const PASSED_ON = ['authorization', 'content-type', 'user-agent'] as const
const PASSED_BACK = ['content-type', 'cache-control', 'www-authenticate', 'retry-after', 'x-request-id'] as const
/** Milliseconds. Sign-ins may queue for the password hash. */
const TIMEOUT = 10_000

/**
 * `/auth/*`: the token service under the page's own origin. So there is no CORS to allow, the page's policy stays at
 * `connect-src 'self'`, and the token service need not be reachable from outside at all.
 */
export const authProxy: FastifyPluginAsync<{ tokenService: string }> = async (app, { tokenService }) => {
  // Bodies pass through unread: what a valid one is, the token service knows.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))

  for (const [method, url] of ROUTES) {
    app.route({
      method,
      url,
      // `..`, written plainly or as %2e%2e, would climb out of the list.
      schema: { params: { type: 'object', properties: { sid: { type: 'string', pattern: '^[\\w-]{1,64}$' } } } },
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
    // Set, not added to: whatever a caller claims to be, it ends here. The token service believes us because its
    // TRUST_PROXY names our address; so people see their devices' addresses, and throttling counts the right ones.
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
