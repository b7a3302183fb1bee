import { METHODS } from 'node:http'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import {
  announcesBody,
  findObjection,
  identityHeaders,
  type Objection,
  type Question,
} from '@latchkey/verifier/forward-auth'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Verify } from '../../schemas/verify.js'
import { refusal, type WireError } from '../http/errors.js'
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
    if (announcesBody(request.headers)) closeAfter(request, reply)
    const { claims } = await requireLiveToken(request, dependencies)
    const objection = findObjection(claims, request.query as Question)
    if (objection) throw refusalOf(objection)
    return reply.headers(identityHeaders(claims)).code(200).send()
  }
}

/**
 * The status of a wrong question is 403, not 400. Every gateway passes 403 on. nginx turns other statuses into 500, and a caller
 * could provoke that.
 */
function refusalOf(objection: Objection): WireError {
  switch (objection.fault) {
    case 'misspelt':
      return refusal.misspeltQuestion(objection.meant)
    case 'missing':
      return refusal.forbidden(objection.what)
    case 'broken':
      return refusal.brokenQuestion(objection.description)
    case 'authentication':
      return refusal.insufficientAuthentication(objection.demand)
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
