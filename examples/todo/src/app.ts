import { randomUUID } from 'node:crypto'
import { createVerifier } from '@latchkey/verifier'
import { latchkey } from '@latchkey/verifier/fastify'
import Fastify, { type FastifyInstance, LogController } from 'fastify'
import { authProxy } from './auth-proxy.js'
import { createClient } from './client.js'
import { AUDIENCE, type TodoConfig } from './config.js'
import { answer, handleError } from './errors.js'
import { me } from './me.js'
import { CONTENT_SECURITY_POLICY, page } from './page.js'
import { type Mail, recovery } from './recovery.js'
import { todoRoutes } from './todo-routes.js'
import { openTodos } from './todos.js'

export { readTodoConfig, type TodoConfig } from './config.js'
export type { Mail } from './recovery.js'

/**
 * Creates the whole service. It does not listen yet. Throws if it cannot verify tokens, and says why.
 *
 * @param sendMail delivers a mail to a person
 */
export async function createTodoService(config: TodoConfig, sendMail: (mail: Mail) => void): Promise<FastifyInstance> {
  const { tokenService } = config
  const app = createServer(config)

  const verifier = createVerifier({
    issuer: config.issuer,
    audience: AUDIENCE,
    keys: config.jwtSecrets ? { secrets: config.jwtSecrets } : { jwksUri: `${tokenService}/.well-known/jwks.json` },
    revocation: config.redisUrl
      ? { mode: 'follow', redis: config.redisUrl }
      : {
          mode: 'introspect',
          endpoint: `${tokenService}/introspect`,
          clientId: config.clientId,
          clientSecret: config.clientSecret,
          // A cached answer would be accepted after a sign-out.
          cacheSeconds: 0,
        },
  })
  app.addHook('onClose', () => verifier.close())
  const todos = openTodos(config.databasePath)
  app.addHook('onClose', async () => todos.close())

  await app.register(page)
  await app.register(latchkey, { verifier })
  await app.register(authProxy, { prefix: '/auth', tokenService, stepUpAfter: config.stepUpAfter })
  const client = createClient(config)
  // Without a client nobody asks for recovery tokens, and there is no such route.
  if (config.clientId) await app.register(recovery, { client, publicUrl: config.publicUrl, sendMail })
  await app.register(async (guarded) => {
    guarded.addHook('onRequest', guarded.requireToken)
    await guarded.register(todoRoutes, { todos })
    await guarded.register(me, { client })
  })
  try {
    await verifier.ready()
  } catch (error) {
    await app.close()
    throw error
  }
  return app
}

function createServer({ logLevel }: TodoConfig): FastifyInstance {
  const app = Fastify({
    logger: { level: logLevel },
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: 16 * 1024,
    genReqId: () => randomUUID(),
    // Convert no values: check what the caller sent.
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
  return app
}
