import type { FastifyInstance } from 'fastify'
import type { Logger } from 'pino'
import { createActivity } from './activity.js'
import { createAudit } from './audit.js'
import { openClients } from './clients/open-clients.js'
import type { Config } from './config/config.js'
import { parseProductionKeys } from './config/parsers.js'
import { createSecondFactors } from './factors/second-factors.js'
import { registerBodies } from './http/bodies.js'
import { registerForPages } from './http/cors.js'
import { closeAfterFailure, closeConnectionsWhile, closeServer, createServer } from './http/create-server.js'
import { registerJwt } from './http/jwt.js'
import { collectAddresses } from './http/other-methods.js'
import { registerRedis } from './http/redis.js'
import { createMetrics } from './metrics/metrics.js'
import { admin } from './routes/admin/admin.js'
import { browserPages } from './routes/browser-pages.js'
import { decorateCallers } from './routes/guards/caller.js'
import { health } from './routes/health.js'
import { introspect } from './routes/introspect.js'
import { metadata } from './routes/metadata.js'
import { metrics as metricsRoute } from './routes/metrics.js'
import { people } from './routes/people.js'
import { revocations } from './routes/revocations.js'
import { revoke } from './routes/revoke.js'
import { token } from './routes/token.js'
import { verify } from './routes/verify.js'
import { createRefreshTokens } from './sessions/refresh-token.js'
import { standardOutput } from './standard-output.js'
import { openStores } from './stores.js'
import { createThrottle } from './throttle/throttle.js'
import { openTls } from './tls.js'
import { createAccessTokens } from './tokens/access-tokens.js'
import { createJtiMac } from './tokens/jti-mac.js'
import { parseKeys } from './tokens/key-ring.js'
import { openKeyRing } from './tokens/open-key-ring.js'
import { createTokenClaims } from './users/account-claims.js'
import { createPasswordHashing } from './users/password-hashing.js'
import { lowerPoolPriority } from './users/pool-priority.js'
import { createUsers } from './users/users.js'

/** The service, ready to listen. */
export interface Service {
  app: FastifyInstance
  /** Health and metrics, on a port that only the cluster reaches. */
  management: FastifyInstance
  /** The ids of the signing keys. The first signs. */
  kids(): string[]
  /** From now on `/readyz` says 503, and each answer closes its connection. Requests are still served. */
  drain(): void
  /** Waits for the requests in flight, then closes the stores. */
  close(): Promise<void>
}

/** Connects stores, services and routes by hand. No other file knows all of them. */
export const createService = closeAfterFailure(async (opened, config: Config, logger: Logger): Promise<Service> => {
  let isDraining = false
  const metrics = createMetrics()
  // OpenTelemetry is loaded only when traces are on.
  const tracing = config.tracesEndpoint
    ? (await import('./tracing.js')).createTracing(config.tracesEndpoint, logger)
    : undefined
  const { trustProxy, issuer, bootstrapClient, passwordMinLength, hashQueue } = config
  const tls = config.tls && openTls(config.tls, logger)
  const app = createServer({ logger, trustProxy, tls: tls?.pair, issuer, countUnrouted: metrics.countUnrouted })
  opened.push(app)
  app.addHook('onClose', async () => tls?.close())
  // Registered before the hooks that refuse: a refused request has a trace too.
  tracing?.watchRequests(app)
  metrics.watchRoutes(app)

  // Stores
  const databaseObserver = tracing?.traceDatabase(metrics.databaseObserver) ?? metrics.databaseObserver
  const { database, redis, close, ...stores } = await openStores(config, logger, databaseObserver, 'service')
  const timed = metrics.timeSessions(stores.sessions)
  const sessions = tracing?.traceSessions(timed) ?? timed
  app.addHook('onClose', close)
  if (redis) await registerRedis(app, redis)

  // Services
  const hashing = createPasswordHashing({
    concurrency: config.hashConcurrency,
    queue: config.hashQueue,
    cost: config.hashCost,
    observer: tracing?.traceHashing(metrics.hashingObserver) ?? metrics.hashingObserver,
  })
  void lowerPoolPriority()
  const users = createUsers(database, hashing)
  const tokenClaims = createTokenClaims(config.accountClaims, users)
  const secondFactors = createSecondFactors(database, config)
  const throttle = createThrottle(redis)
  const { clients, issuers } = openClients(database, config, sessions.useOnce, metrics.countAssertion, logger)
  if (bootstrapClient) await clients.create(bootstrapClient, { scopes: ['introspect', 'admin'], audiences: [] })
  const refreshTokens = createRefreshTokens(config.refreshSecrets, config.issuer)
  const ring = openKeyRing(config, config.production ? parseProductionKeys : parseKeys, logger)
  app.addHook('onClose', async () => ring.close())
  const tokens = createAccessTokens({
    issuer: config.issuer,
    audiences: config.audiences,
    ring,
    jtiMac: createJtiMac(config.refreshSecrets),
    accessTtl: config.accessTtl,
    sign: await registerJwt(app, ring.keys()[0]),
  })
  const activity = createActivity()
  const audit = createAudit(logger, metrics.countEvent, activity.record)
  // Without Redis, the sessions are in the database.
  const checks = redis ? { database: database.ping, redis: sessions.ping } : { database: sessions.ping }

  // Routes
  closeConnectionsWhile(app, () => isDraining)
  // The plugins of the API page are loaded only when DOCS is on.
  if (config.docs) await (await import('./http/openapi.js')).registerOpenapi(app, config.issuer)
  await app.register(verify, { clients, sessions, tokens })
  await app.register(async (api) => {
    await registerBodies(api)
    decorateCallers(api)
    const refuseOtherMethods = collectAddresses(api)
    const { production, mfa, signUp } = config
    const issuing = { sessions, tokens, refreshTokens, tokenClaims, audit }
    const accounts = { users, hashing, throttle, signUp, passwordMinLength, mfa, rpId: config.relyingParty.id }
    const { corsOrigins: origins, cookieOrigins } = config
    await registerForPages(api, { origins, credentials: cookieOrigins !== undefined }, async (pages) => {
      await pages.register(people, { ...accounts, ...secondFactors, ...issuing, clients, cookieOrigins })
      await pages.register(metadata, { issuer, ring })
    })
    await api.register(introspect, { clients, sessions, tokens, tokenClaims, audit })
    await api.register(revocations, { clients, sessions, tokens, audit, watchFollowers: metrics.watchFollowers })
    await api.register(token, { ...issuing, clients })
    await api.register(revoke, { clients, sessions, tokens, refreshTokens, audit })
    const { factors } = secondFactors
    const administration = { users, factors, issuers, production, passwordMinLength, mfa }
    const watched = { activity, ring, checks, config }
    await api.register(admin, { ...administration, ...watched, clients, sessions, tokens, audit })
    await api.register(browserPages, { config })
    refuseOtherMethods()
  })

  metrics.registerObserved({ sessions, hashing, hashQueue, checks }, standardOutput.droppedLines)
  const management = createServer({ logger, trustProxy, tls: tls?.pair })
  tls?.follow([app.server, management.server])
  await management.register(health, { checks, isDraining: () => isDraining })
  await management.register(metricsRoute, { render: metrics.render })

  await Promise.all([app.ready(), management.ready()])
  return {
    app,
    management,
    kids: () => ring.keys().map(({ kid }) => kid),
    drain() {
      isDraining = true
    },
    async close() {
      isDraining = true
      await closeServer(app)
      await management.close()
      await tracing?.close()
    },
  }
})
