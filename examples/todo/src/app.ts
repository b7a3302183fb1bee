import { randomUUID } from 'node:crypto'
import Fastify, { type FastifyInstance, LogController } from 'fastify'
import { authProxy } from './auth-proxy.js'
import type { TodoConfig } from './config.js'
import { answer, handleError } from './errors.js'
import { introspecting, registerGuard } from './guard.js'
import { CONTENT_SECURITY_POLICY, page } from './page.js'
import { todoRoutes } from './todo-routes.js'
import { openTodos } from './todos.js'

export { readTodoConfig, type TodoConfig } from './config.js'

export async function createTodoService(config: TodoConfig): Promise<FastifyInstance> {
  const app = Fastify({
    logger: { level: config.logLevel },
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: 16 * 1024,
    genReqId: () => randomUUID(),
    // Nothing is guessed: what was sent is what is checked.
    ajv: { customOptions: { coerceTypes: false, removeAdditional: false } },
    forceCloseConnections: true,
  })
  app.setErrorHandler(handleError)
  app.setNotFoundHandler((_request, reply) => answer(reply, 404, 'not_found', 'there is nothing at this address'))
  app.addHook('onRequest', async (_request, reply) => {
    reply.headers({
      'cache-control': 'no-store',
      'content-security-policy': CONTENT_SECURITY_POLICY,
      'cross-origin-opener-policy': 'same-origin',
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
    })
  })

  const verifier = introspecting(`${config.tokenService}/introspect`, config.clientId, config.clientSecret)
  app.addHook('onClose', () => verifier.close())
  const todos = openTodos(config.databasePath)
  app.addHook('onClose', async () => todos.close())

  await app.register(page)
  await app.register(authProxy, { prefix: '/auth', tokenService: config.tokenService })
  await app.register(async (guarded) => {
    registerGuard(guarded, verifier)
    await guarded.register(todoRoutes, { todos })
  })
  return app
}
