import { randomBytes } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import Fastify, { type FastifyBaseLogger, type FastifyInstance, LogController } from 'fastify'
import type { Logger } from 'pino'
import { ambiguityOf } from './ambiguous-requests.js'
import { createErrorHandler } from './error-handler.js'
import { refusal, sendRefusal } from './errors.js'
import { createIssuerPath } from './issuer-path.js'
import { KNOWN_METHODS } from './other-methods.js'
import { createPipelines, type Pipelines } from './pipelines.js'
import { schemaCompilers } from './schema-compilers.js'
import { closeUnlessAtWork, refuseExpectation, refuseUnreadable, SEND_TIMEOUT } from './socket-errors.js'

/** Bytes. */
const BODY_LIMIT = 16 * 1024
/** Bytes. */
const HEADER_LIMIT = 8 * 1024
/** The time that a caller has to send its headers, and its whole request. Milliseconds. */
const RECEIVE_TIMEOUT = 5000

const HTTP_LIMITS = {
  maxHeaderSize: HEADER_LIMIT,
  headersTimeout: RECEIVE_TIMEOUT,
  // Node's default looks for slow callers every 30 s only.
  connectionsCheckingInterval: 500,
  // `ambiguityOf` refuses a request without Host. Node's own answer has no body.
  requireHostHeader: false,
}

interface ServerOptions {
  logger: Logger
  /** Addresses whose `X-Forwarded-For` is believed. */
  trustProxy: readonly string[] | undefined
  /** HTTPS instead of HTTP. Both are PEM. */
  tls?: { cert: string; key: string } | undefined
  /** If the issuer has a path, the routes answer below it too. */
  issuer?: string
  /** Is called with the status of each answer that no route gives. */
  countUnrouted?: (status: number) => void
}

/** A Fastify instance with limits, error bodies and checks of ambiguous requests, and without routes. */
export function createServer(options: ServerOptions): FastifyInstance {
  const { logger, trustProxy, tls, issuer, countUnrouted = () => {} } = options
  const issuerPath = issuer === undefined ? undefined : createIssuerPath(issuer)
  const handleError = createErrorHandler(logger)
  const pipelines = createPipelines()
  const protocol = tls ? 'https' : 'http'
  const app = Fastify({
    // Fastify makes a child logger for each request. Redaction would make a child 15 times as expensive (2.8 µs), and
    // Fastify's own lines hold an error at most, of which `describeError` keeps no secret. Our own lines use `logger`.
    loggerInstance: logger.child({}, { redact: [] }) as FastifyBaseLogger,
    // A log line for each request would cost half a request. LOG_LEVEL=debug writes them; the audit log has what matters.
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: BODY_LIMIT,
    // Fastify's limit of 100 characters would answer 404. The schema says what is wrong.
    routerOptions: { maxParamLength: HEADER_LIMIT },
    requestTimeout: RECEIVE_TIMEOUT,
    connectionTimeout: SEND_TIMEOUT,
    // Fastify's type of the instance would depend on this member. Our code uses what both kinds of server have.
    [protocol as 'http']: { ...HTTP_LIMITS, ...(tls && { ...tls, handshakeTimeout: RECEIVE_TIMEOUT }) },
    // During the drain the service still answers each request, and closes its connection.
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    trustProxy: trustProxy ? [...trustProxy] : false,
    genReqId: createRequestIds(),
    ...(issuerPath && { rewriteUrl: issuerPath.remove }),
    schemaController: { compilersFactory: schemaCompilers },
    ajv: {
      customOptions: {
        // Ajv checks what the caller sent, and changes nothing: a number is not a string.
        coerceTypes: false,
        removeAdditional: false,
        useDefaults: false,
        allErrors: false,
        // `describeValidation` needs the broken schema, and `x-rule`, which explains what a pattern cannot.
        verbose: true,
        keywords: ['x-rule'],
        // A test validates our schemas. At each start it would take 45 ms.
        validateSchema: false,
      },
    },
    frameworkErrors: (error, request, reply) =>
      whenFirst(pipelines, request.raw, reply.raw, () =>
        countUnrouted(handleError(ambiguityOf(request) ?? error, request, reply).statusCode),
      ),
    clientErrorHandler: (error, socket) => refuseUnreadable(error, socket, pipelines, countUnrouted),
  })
  issuerPath?.watchRoutes(app)
  app.server.on('checkExpectation', (request, response) =>
    whenFirst(pipelines, request, response, () => refuseExpectation(response)),
  )
  app.server.on('timeout', closeUnlessAtWork)
  app.setErrorHandler(handleError)
  app.setNotFoundHandler(({ method }, reply) => {
    // RFC 9110 §9.1: 501 for a method that the service does not know, for example PROPFIND.
    const answer = KNOWN_METHODS.includes(method) ? refusal.notFound() : refusal.unknownMethod()
    countUnrouted(answer.statusCode)
    return sendRefusal(reply, answer)
  })
  // Hooks that never wait take a callback: a promise would cost each request 1 µs.
  app.addHook('onRequest', (request, reply, done) => {
    reply.header('x-request-id', request.id)
    whenFirst(pipelines, request.raw, reply.raw, () => done(ambiguityOf(request)))
  })
  if (logger.isLevelEnabled('debug')) logRequests(app, logger)
  return app
}

/** While the service drains, each answer closes its connection. */
export function closeConnectionsWhile(app: FastifyInstance, isDraining: () => boolean): void {
  app.addHook('onRequest', (_request, reply, done) => {
    if (isDraining()) reply.header('connection', 'close')
    done()
  })
}

/**
 * Wraps a start that may fail. What it has opened by then is closed, because the connections of the stores would keep the process
 * alive.
 *
 * @param start receives a list, and adds each server whose `close` closes other things too
 */
export function closeAfterFailure<Parameters extends unknown[], Result>(
  start: (opened: FastifyInstance[], ...parameters: Parameters) => Promise<Result>,
): (...parameters: Parameters) => Promise<Result> {
  return async (...parameters) => {
    const opened: FastifyInstance[] = []
    try {
      return await start(opened, ...parameters)
    } catch (error) {
      await Promise.allSettled(opened.map((server) => server.close()))
      throw error
    }
  }
}

/** Waits for the requests in flight. */
export async function closeServer(app: FastifyInstance): Promise<void> {
  // Fastify closes idle connections once. A keep-alive connection that becomes idle later would delay the close.
  const sweep = setInterval(() => app.server.closeIdleConnections(), 50)
  await app.close()
  clearInterval(sweep)
}

/**
 * The caller's own `X-Request-Id`, or the next number after a random prefix of this process. A random id for each request would
 * cost 0.2 µs.
 */
function createRequestIds(): (request: IncomingMessage) => string {
  const prefix = randomBytes(9).toString('base64url')
  let count = 0
  return ({ headers }) => {
    const given = headers['x-request-id']
    if (typeof given === 'string' && /^[\w.:-]{1,128}$/.test(given)) return given
    count += 1
    return `${prefix}-${count}`
  }
}

/** Calls `answer` when the answers before this one have been sent, and never if one of them closes the connection. */
function whenFirst(pipelines: Pipelines, request: IncomingMessage, response: ServerResponse, answer: () => void): void {
  // Node reads on until the last answer is sent (RFC 9112 §9.6).
  if (request.socket.writableEnded) pipelines.stopReading(request.socket)
  // The socket is null while an earlier answer has the connection.
  else if (response.socket === null) pipelines.takeTurn(request, response, answer)
  else answer()
}

function logRequests(app: FastifyInstance, logger: Logger): void {
  app.addHook('onResponse', (request, reply, done) => {
    const { id, method, routeOptions } = request
    // The route, not the address: an address may hold a session id or a secret.
    const { url: route } = routeOptions
    logger.debug({ reqId: id, method, route, status: reply.statusCode, ms: reply.elapsedTime }, 'request')
    done()
  })
}
