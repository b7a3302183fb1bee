import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import fastifyJwt from '@fastify/jwt'
import type { AccessTokenClaims } from '@latchkey/verifier/access-token'
import { createSigner } from 'fast-jwt'
import Fastify, { type FastifyBaseLogger, type FastifyInstance, LogController } from 'fastify'
import type { Logger } from 'pino'
import { createAudit } from './audit.js'
import { createClients } from './clients/clients.js'
import { type Config, parseProductionKeys } from './config/config.js'
import { ambiguityOf } from './http/ambiguous-requests.js'
import { registerBodies } from './http/bodies.js'
import { createErrorHandler, refusal, sendRefusal } from './http/errors.js'
import { createPipelines, type Pipelines } from './http/pipelines.js'
import { createMetrics } from './metrics/metrics.js'
import { admin } from './routes/admin/admin.js'
import { health } from './routes/health.js'
import { introspect } from './routes/introspect.js'
import { login } from './routes/login.js'
import { logout } from './routes/logout.js'
import { logoutAll } from './routes/logout-all.js'
import { metadata } from './routes/metadata.js'
import { metrics as metricsRoute } from './routes/metrics.js'
import { refresh } from './routes/refresh.js'
import { revoke } from './routes/revoke.js'
import { sessionRoutes } from './routes/sessions.js'
import { token } from './routes/token.js'
import { signUp } from './routes/users.js'
import { deleteAccount } from './routes/users-me.js'
import { changePassword } from './routes/users-me-password.js'
import { verify } from './routes/verify.js'
import { buildSerializer } from './serializers.js'
import type { RedisClient } from './sessions/redis/client.js'
import { createRefreshTokens } from './sessions/refresh-token.js'
import { standardOutput } from './standard-output.js'
import { openStores } from './stores.js'
import { createThrottle } from './throttle/throttle.js'
import { createAccessTokens, type SignClaims } from './tokens/access-tokens.js'
import { createJtiMac } from './tokens/jti-mac.js'
import { createFileKeyRing, createSecretKeyRing, type KeyRing, type SigningKey } from './tokens/key-ring.js'
import { createPasswordHashing } from './users/password.js'
import { lowerPoolPriority } from './users/pool-priority.js'
import { createUsers } from './users/users.js'

/** The service, wired, not yet listening. */
export interface Service {
  app: FastifyInstance
  /** Health and metrics, for the cluster, on a port of its own. */
  management: FastifyInstance
  /** From now on not ready, and every connection is closed after its answer. Still serves. */
  drain(): void
  /** Ends what is under way, then everything. */
  close(): Promise<void>
}

const BODY_LIMIT = 16 * 1024
const HEADER_LIMIT = 8 * 1024
/** A caller that takes longer to send its headers, or its request, is cut off. Milliseconds. */
const RECEIVE_TIMEOUT = 5000
/** A caller that takes nothing of an answer for so long is cut off. Milliseconds. */
const SEND_TIMEOUT = 10_000

/** The whole machine, wired by hand: the only place that knows how the rooms fit together. */
export async function createService(config: Config, logger: Logger): Promise<Service> {
  let isDraining = false
  const metrics = createMetrics()
  // Loaded only where somebody wants them.
  const tracing = config.tracesEndpoint
    ? (await import('./tracing.js')).createTracing(config.tracesEndpoint, logger)
    : undefined
  const app = createServer(config, logger, metrics.countUnrouted)
  // Before the hooks that refuse: what is refused has a trace as well.
  tracing?.watchRequests(app)
  metrics.watchRoutes(app)

  // Stores
  const { database, redis, close, ...stores } = await openStores(
    config,
    logger,
    tracing?.traceDatabase(metrics.databaseObserver) ?? metrics.databaseObserver,
    'service',
  )
  const timed = metrics.timeSessions(stores.sessions)
  const sessions = tracing?.traceSessions(timed) ?? timed
  app.addHook('onClose', close)
  if (redis) await registerRedis(app, redis)

  // Rooms
  const hashing = createPasswordHashing({
    concurrency: config.hashConcurrency,
    queue: config.hashQueue,
    cost: config.hashCost,
    times: tracing?.traceHashing(metrics.hashingObserver) ?? metrics.hashingObserver,
  })
  void lowerPoolPriority()
  const users = createUsers(database, hashing)
  const throttle = createThrottle(redis)
  const clients = createClients(database)
  if (config.bootstrapClient) {
    await clients.create(config.bootstrapClient, { scopes: ['introspect', 'admin'], audiences: [] })
  }
  const refreshTokens = createRefreshTokens(config.refreshSecrets, config.issuer)
  const ring = createRing(config, logger)
  app.addHook('onClose', async () => ring.close())
  const tokens = createAccessTokens({
    issuer: config.issuer,
    audiences: config.audiences,
    ring,
    jtiMac: createJtiMac(config.refreshSecrets),
    accessTtl: config.accessTtl,
    sign: await registerJwt(app, ring.keys()[0]),
  })
  const audit = createAudit(logger, metrics.countEvent)

  // Routes
  app.addHook('onRequest', (_request, reply, done) => {
    if (isDraining) reply.header('connection', 'close')
    done()
  })
  if (config.docs) {
    const { registerDocs, registerOpenapi } = await import('./http/openapi.js')
    await registerOpenapi(app, config.issuer)
    await app.register(async (docs) => {
      const refuseOtherMethods = collectAddresses(docs)
      await registerDocs(docs)
      refuseOtherMethods()
    })
  }
  await app.register(verify, { clients, sessions, tokens })
  await app.register(async (api) => {
    await registerBodies(api)
    const refuseOtherMethods = collectAddresses(api)
    const { issuer, passwordMinLength } = config
    await api.register(signUp, { users, throttle, signUp: config.signUp, passwordMinLength, audit })
    await api.register(changePassword, { users, throttle, clients, sessions, tokens, passwordMinLength, audit })
    await api.register(deleteAccount, { users, throttle, clients, sessions, tokens, audit })
    await api.register(login, { users, throttle, clients, sessions, tokens, refreshTokens, audit })
    await api.register(refresh, { sessions, tokens, refreshTokens, audit })
    await api.register(logout, { sessions, tokens, refreshTokens, audit })
    await api.register(logoutAll, { sessions, tokens, refreshTokens, audit })
    await api.register(sessionRoutes, { clients, sessions, tokens, audit })
    await api.register(introspect, { clients, sessions, tokens, audit })
    await api.register(token, { clients, sessions, tokens, refreshTokens, audit })
    await api.register(revoke, { clients, sessions, tokens, refreshTokens, audit })
    await api.register(admin, { users, clients, sessions, tokens, passwordMinLength, audit })
    await api.register(metadata, { issuer, ring })
    refuseOtherMethods()
  })

  // Without Redis the database has the sessions too.
  const checks = redis ? { database: database.ping, redis: sessions.ping } : { database: sessions.ping }
  const { hashQueue } = config
  metrics.registerGauges({ sessions, hashing, hashQueue, droppedLogLines: standardOutput.droppedLines, checks })
  const management = createServer(config, logger)
  await management.register(health, { checks, isDraining: () => isDraining })
  await management.register(metricsRoute, { render: metrics.render })

  await Promise.all([app.ready(), management.ready()])
  return {
    app,
    management,
    drain() {
      isDraining = true
    },
    async close() {
      isDraining = true
      // A connection that is at work now, and whose caller keeps it, would hold the close up when it has had its answer.
      const sweep = setInterval(() => app.server.closeIdleConnections(), 50)
      await app.close()
      clearInterval(sweep)
      await management.close()
      await tracing?.close()
    },
  }
}

/** @param countUnrouted is told the status of each answer that no route gives */
function createServer(config: Config, logger: Logger, countUnrouted = (_status: number) => {}): FastifyInstance {
  const handleError = createErrorHandler(logger)
  const pipelines = createPipelines()
  const app = Fastify({
    loggerInstance: logger as FastifyBaseLogger,
    // A line a request would cost half a request: `debug` has it. What matters is in the audit log.
    logController: new LogController({ disableRequestLogging: true }),
    // Nor is a logger made for each request, which passes its bindings through redaction: who logs says the request's id.
    childLoggerFactory: (parent) => parent,
    bodyLimit: BODY_LIMIT,
    // Past Fastify's 100 characters there would be no such address: 404, where the schema says what is wrong.
    routerOptions: { maxParamLength: HEADER_LIMIT },
    requestTimeout: RECEIVE_TIMEOUT,
    connectionTimeout: SEND_TIMEOUT,
    http: {
      maxHeaderSize: HEADER_LIMIT,
      headersTimeout: RECEIVE_TIMEOUT,
      // Node looks for slow callers every 30 s unless told otherwise.
      connectionsCheckingInterval: 500,
      // Refused with the other headers that go astray: Node's own answer has no body.
      requireHostHeader: false,
    },
    // Drained before it is closed: a request that still arrives is served, and its connection closed.
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    // The methods that Fastify does not know, and no route has, are one to it: each would have a tree of every address in
    // the router, to say 405. Of two dozen those took 40 ms of a start.
    rewriteUrl: (request) => {
      if (!methods.has(request.method)) request.method = 'TRACE'
      return request.url as string
    },
    trustProxy: config.trustProxy ? [...config.trustProxy] : false,
    genReqId: ({ headers }) => {
      const given = headers['x-request-id']
      return typeof given === 'string' && /^[\w.:-]{1,128}$/.test(given) ? given : randomUUID()
    },
    // Nothing is guessed: a number is no string, and what was sent is what is checked.
    ajv: {
      customOptions: {
        coerceTypes: false,
        removeAdditional: false,
        useDefaults: false,
        allErrors: false,
        // For the words of an error: the schema that was broken, and the rule of it that a pattern cannot say.
        verbose: true,
        keywords: ['x-rule'],
        // That our schemas are schemas, a test says: the schema of schemas took 45 ms of each start.
        validateSchema: false,
      },
    },
    schemaController: { compilersFactory: { buildSerializer } },
    frameworkErrors: (error, request, reply) =>
      inTurn(pipelines, request.raw, reply.raw, () =>
        countUnrouted(handleError(ambiguityOf(request) ?? error, request, reply).statusCode),
      ),
    clientErrorHandler: (error, socket) => refuseUnreadable(error, socket, pipelines, countUnrouted),
  })
  const methods = new Set<string | undefined>(app.supportedMethods)
  app.server.on('checkExpectation', (request, response) =>
    inTurn(pipelines, request, response, () => refuseExpectation(response)),
  )
  app.server.on('timeout', closeUnlessAtWork)
  app.setErrorHandler(handleError)
  app.setNotFoundHandler((_request, reply) => {
    countUnrouted(404)
    return sendRefusal(reply, refusal.notFound())
  })
  // Hooks that never wait take a callback: each promise would cost a microsecond a request.
  app.addHook('onRequest', (request, reply, done) => {
    reply.header('x-request-id', request.id)
    // Null while an earlier answer has the connection.
    if (reply.raw.socket === null) pipelines.takeTurn(request.raw, reply.raw, () => done(ambiguityOf(request)))
    else done(ambiguityOf(request))
  })
  if (logger.isLevelEnabled('debug')) {
    app.addHook('onResponse', (request, reply, done) => {
      const { id, method, routeOptions } = request
      // The route, not the address: addresses hold session ids and whatever callers put into queries.
      const { url: route } = routeOptions
      logger.debug({ reqId: id, method, route, status: reply.statusCode, ms: reply.elapsedTime }, 'request')
      done()
    })
  }
  return app
}

/** The keys that the configuration names; those of a file are replaced when it changes, or on SIGHUP. */
function createRing({ production, jwtSecrets, jwtKeysFile }: Config, logger: Logger): KeyRing {
  if (jwtKeysFile === undefined) return createSecretKeyRing(jwtSecrets)
  const ring = createFileKeyRing(jwtKeysFile, {
    ...(production && { parse: parseProductionKeys }),
    onRead: (keys) => logger.info({ kids: keys.map(({ kid }) => kid) }, 'the key file was read: the first key signs'),
    onInvalid: (reason) => logger.error({ reason }, 'the key file is broken: the keys before it stay in use'),
  })
  process.on('SIGHUP', ring.reread)
  return {
    keys: ring.keys,
    close() {
      process.off('SIGHUP', ring.reread)
      ring.close()
    },
  }
}

/**
 * Signs through the plugin, with the key of the start, which is the only one that it takes. A key that came since gets a
 * signer of its own, once: given to the plugin with each token, it would be parsed for each (RS256: 1,190 µs, not 410).
 */
async function registerJwt(app: FastifyInstance, first: SigningKey): Promise<SignClaims> {
  const options = ({ alg, kid }: SigningKey) => ({ algorithm: alg, kid, header: { alg, typ: 'at+jwt' } })
  const material = ({ key, verification }: SigningKey) =>
    verification.alg === 'HS256' ? key : { private: key, public: verification.publicKey }
  await app.register(fastifyJwt, { secret: material(first), sign: options(first) })
  // By the key itself, not its kid: a file may give an old name to a new key.
  const signers = new WeakMap<SigningKey, (claims: AccessTokenClaims) => string>()
  signers.set(first, (claims) => app.jwt.sign(claims))
  return (claims, key) => {
    const sign = signers.get(key) ?? createSigner({ ...options(key), key: key.key })
    signers.set(key, sign)
    return sign(claims)
  }
}

/** An own client, handed to the plugin: the plugin's options cannot say all that ours must. */
async function registerRedis(app: FastifyInstance, client: RedisClient): Promise<void> {
  // The plugin holds start-up until the client is ready. A service whose Redis is away must start all the same, say 503
  // and heal: so the plugin, which reads `status` once, reads what it wants to. Everyone else has the client itself.
  const announcedReady = new Proxy(client, {
    get(target, name) {
      if (name === 'status') return 'ready'
      const value: unknown = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  const { default: fastifyRedis } = await import('@fastify/redis')
  await app.register(fastifyRedis, { client: announcedReady })
}

/** Call before the routes; what it returns, after them: every address then answers 405 to the methods it has not. */
function collectAddresses(app: FastifyInstance): () => void {
  const addresses = new Set<string>()
  app.addHook('onRoute', ({ url }) => void addresses.add(url))
  return () => {
    for (const url of addresses) {
      const own = app.supportedMethods.filter((method) => app.hasRoute({ url, method }))
      const allow = own.sort().join(', ')
      app.route({
        url,
        method: app.supportedMethods.filter((method) => !own.includes(method)),
        schema: { hide: true },
        // Before the body is read: whatever it is, it has no business here.
        onRequest: async () => {
          throw refusal.methodNotAllowed(allow)
        },
        handler: async () => {},
      })
    }
  }
}

/** `Expect:` with anything but `100-continue` (RFC 9110 §10.1.1). Node's own answer has no body. */
function refuseExpectation(response: ServerResponse): void {
  response
    .writeHead(417, { 'content-type': 'application/json; charset=utf-8', connection: 'close' })
    .end(errorBody('the only expectation that can be met is 100-continue'))
}

/** What is answered outside of Fastify's hooks waits for its turn as well. */
function inTurn(pipelines: Pipelines, request: IncomingMessage, response: ServerResponse, answer: () => void): void {
  if (response.socket === null) pipelines.takeTurn(request, response, answer)
  else answer()
}

/** The answer that Node sends on a connection now. */
const answerOf = (socket: Socket) => (socket as Socket & { _httpMessage?: ServerResponse | null })._httpMessage

/** Nothing moved on a connection for `SEND_TIMEOUT`. Where the answer has not begun yet, the caller has nothing to read. */
function closeUnlessAtWork(socket: Socket): void {
  const answer = answerOf(socket)
  if (!answer) return void socket.destroy()
  // A reset, not an end: behind an end the kernel would keep for minutes what the caller does not take.
  if (answer.headersSent || socket.writableLength > 0) socket.resetAndDestroy()
}

function errorBody(description: string): string {
  return JSON.stringify({ error: 'invalid_request', error_description: description })
}

/** What Node's HTTP parser refuses has no request to answer: this writes to the bare socket. */
function refuseUnreadable(
  error: Error & { code?: string },
  socket: Socket,
  pipelines: Pipelines,
  countUnrouted: (status: number) => void,
): void {
  // The request was cut in two because this service stopped reading: the caller is not slow to send it.
  if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT' && pipelines.isHeld(socket)) return
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy()
  // The headers may have been refused already, and the body be what cannot be read: one request, one answer.
  if (answerOf(socket)?.headersSent) return void socket.destroySoon()
  const status =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? '431 Request Header Fields Too Large'
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? '408 Request Timeout'
        : '400 Bad Request'
  countUnrouted(Number.parseInt(status, 10))
  const body = errorBody('the request cannot be read')
  socket.end(
    `HTTP/1.1 ${status}\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: ${body.length}\r\n` +
      `Connection: close\r\n\r\n${body}`,
  )
}
