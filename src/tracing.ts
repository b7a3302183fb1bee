import { AsyncLocalStorage } from 'node:async_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Context, defaultTextMapGetter, ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import { W3CTraceContextPropagator } from '@opentelemetry/core'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources'
import { BasicTracerProvider, BatchSpanProcessor } from '@opentelemetry/sdk-trace-base'
import type { FastifyInstance } from 'fastify'
import type { Logger } from 'pino'
import type { DatabaseObserver } from './database/database.js'
import type { SessionStore } from './sessions/session.js'
import { wrapOperations } from './sessions/wrap-operations.js'
import type { HashingObserver } from './users/password-hashing.js'

export interface Tracing {
  /** Records one span for each request, in the trace of its `traceparent` header. */
  watchRequests(app: FastifyInstance): void
  traceSessions(sessions: SessionStore): SessionStore
  traceDatabase(observer: DatabaseObserver): DatabaseObserver
  traceHashing(observer: HashingObserver): HashingObserver
  /** Sends the remaining spans. */
  close(): Promise<void>
}

/** The time that the last spans have to reach the collector, before the process ends without it. Milliseconds. */
const CLOSE_TIMEOUT = 2000

/**
 * Traces with OpenTelemetry. The SDK also reads OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES, OTEL_TRACES_SAMPLER and
 * OTEL_EXPORTER_OTLP_HEADERS. No span names a person, a session, a token or an address, because more people see traces
 * than the audit log.
 */
export function createTracing(endpoint: string, logger: Logger): Tracing {
  const exporter = new OTLPTraceExporter({ url: `${endpoint.replace(/\/$/, '')}/v1/traces` })
  const provider = new BasicTracerProvider({
    resource: resourceFromAttributes({ 'service.name': 'latchkey' }).merge(
      detectResources({ detectors: [envDetector] }),
    ),
    spanProcessors: [new BatchSpanProcessor(exporter)],
  })
  const tracer = provider.getTracer('latchkey')
  const propagator = new W3CTraceContextPropagator()
  // OpenTelemetry's own context manager is global in a process. Each service needs its own.
  const current = new AsyncLocalStorage<Context>()

  /** Records a span that ends now. */
  function recordFinishedSpan(name: string, milliseconds: number): void {
    const context = current.getStore()
    // Outside a request (a heartbeat, a probe) a span has no trace.
    if (!context) return
    const end = Date.now()
    tracer.startSpan(name, { startTime: end - milliseconds, kind: SpanKind.CLIENT }, context).end(end)
  }

  return {
    watchRequests(app) {
      app.addHook('onRequest', (request, reply, done) => {
        const parent = propagator.extract(ROOT_CONTEXT, request.headers, defaultTextMapGetter)
        const { method } = request
        const { url: route = 'none' } = request.routeOptions
        const attributes = { 'http.request.method': method, 'http.route': route, 'latchkey.request_id': request.id }
        const span = tracer.startSpan(`${method} ${route}`, { kind: SpanKind.SERVER, attributes }, parent)
        reply.raw.once('close', () => {
          span.setAttribute('http.response.status_code', reply.statusCode)
          if (reply.statusCode >= 500) span.setStatus({ code: SpanStatusCode.ERROR })
          span.end()
        })
        current.run(trace.setSpan(parent, span), done)
      })
    },

    traceSessions: (sessions) =>
      wrapOperations(sessions, (operation) => async (act) => {
        const context = current.getStore()
        if (!context) return act()
        const span = tracer.startSpan(`sessions.${operation}`, { kind: SpanKind.CLIENT }, context)
        try {
          return await current.run(trace.setSpan(context, span), act)
        } catch (error) {
          span.setStatus({ code: SpanStatusCode.ERROR, message: (error as Error).message })
          throw error
        } finally {
          span.end()
        }
      }),

    traceDatabase: (observer) => ({
      ...observer,
      onQuery(milliseconds) {
        observer.onQuery(milliseconds)
        recordFinishedSpan('database.query', milliseconds)
      },
      onConnection(milliseconds) {
        observer.onConnection(milliseconds)
        recordFinishedSpan('database.connection', milliseconds)
      },
    }),

    traceHashing: (observer) => ({
      ...observer,
      waited(milliseconds) {
        observer.waited(milliseconds)
        recordFinishedSpan('password.wait', milliseconds)
      },
      hashed(milliseconds) {
        observer.hashed(milliseconds)
        recordFinishedSpan('password.hash', milliseconds)
      },
    }),

    async close() {
      const sent = provider
        .shutdown()
        .catch((err) => logger.warn({ reason: err.message }, 'the last traces were not sent'))
      await Promise.race([sent, sleep(CLOSE_TIMEOUT, undefined, { ref: false })])
    },
  }
}
