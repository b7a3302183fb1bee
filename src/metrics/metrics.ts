import type { FastifyInstance } from 'fastify'
import type { Registry } from 'prom-client'
import type { DatabaseObserver } from '../database/database.js'
import type { SessionStore } from '../sessions/session.js'
import { wrapOperations } from '../sessions/wrap-operations.js'
import type { HashingObserver } from '../users/password-hashing.js'
import { createEventCounters, type EventCounters } from './event-counters.js'
import { createGauges, type GaugeSources } from './gauges.js'
import { oneAtATime } from './one-at-a-time.js'
import {
  type Counter,
  type CounterSeries,
  counter,
  gauge,
  type HistogramSeries,
  histogram,
  type Metric,
  observedCounter,
} from './series.js'

interface Metrics extends EventCounters {
  /** Counts and times every route that is registered later, under its pattern. */
  watchRoutes(app: FastifyInstance): void
  /** Counts an answer that no route gave. */
  countUnrouted(status: number): void
  /** Returns the same store, with a timer around each operation. */
  timeSessions(sessions: SessionStore): SessionStore
  readonly databaseObserver: DatabaseObserver
  readonly hashingObserver: HashingObserver
  /** Registers the gauge of the followers whose requests are held back now. */
  watchFollowers(waiting: () => number): void
  /**
   * Registers the metrics that are read at each scrape.
   *
   * @param droppedLogLines returns how many log lines were dropped since the start
   */
  registerObserved(sources: GaugeSources, droppedLogLines: () => number): void
  /** Renders all metrics in the text format of Prometheus. */
  render(): Promise<{ type: string; text: Buffer }>
}

const REQUEST_BOUNDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5]
const STORE_BOUNDS = [0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1]
const HASHING_BOUNDS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5]

/**
 * The metrics of this service for Prometheus. Callers choose no value of a label: a route appears as its pattern, and an
 * address, a user or a token never appears. An introspection spends 0.25 µs of about 40 µs on metrics.
 */
export function createMetrics(): Metrics {
  const all: Metric[] = []
  const register = <Each extends Metric>(metric: Each): Each => {
    all.push(metric)
    return metric
  }

  const requests = register(counter('latchkey_http_requests_total', 'Requests answered, by route pattern and status.'))
  const requestTimes = register(
    histogram('latchkey_http_request_duration_seconds', 'From the headers to the last byte, by route.', REQUEST_BOUNDS),
  )
  const { countEvent, countAssertion } = createEventCounters(register)
  const operationTimes = register(
    histogram('latchkey_session_store_duration_seconds', 'Operations of the session store.', STORE_BOUNDS),
  )
  const operationErrors = register(
    counter('latchkey_session_store_errors_total', 'Failed operations of the session store.'),
  )
  const queryTimes = register(
    histogram('latchkey_database_query_duration_seconds', 'Queries of the database.', STORE_BOUNDS),
  ).with({})
  const queryErrors = register(
    counter('latchkey_database_errors_total', 'Failed queries and connections of the database.'),
  ).with({})
  const connectionWaits = register(
    histogram(
      'latchkey_database_connection_wait_seconds',
      'Waits for a connection of the connection pool.',
      STORE_BOUNDS,
    ),
  ).with({})
  const hashWaits = register(
    histogram('latchkey_hash_wait_seconds', 'Waits of passwords in the hashing queue.', HASHING_BOUNDS),
  ).with({})
  const hashTimes = register(
    histogram('latchkey_hash_duration_seconds', 'Hashing of a password, without its wait.', HASHING_BOUNDS),
  ).with({})
  const hashRefusals = register(
    counter('latchkey_hash_refused_total', 'Passwords refused with 503, because the hashing queue was full.'),
  ).with({})
  let registry: Promise<Registry> | undefined

  return {
    watchRoutes(app) {
      app.addHook('onRoute', (route) => {
        const methods = [route.method].flat()
        const labels = { method: methods.length === 1 ? String(methods[0]) : 'any', route: route.url }
        const countStatus = byStatus(requests, labels)
        let times: HistogramSeries | undefined
        route.onResponse = [
          ...[route.onResponse ?? []].flat(),
          (_request, reply, done) => {
            countStatus(reply.statusCode)
            // Created with the first answer: most methods of most routes are never called.
            times ??= requestTimes.with(labels)
            times.add(reply.elapsedTime / 1000)
            done()
          },
        ]
      })
    },

    countUnrouted: byStatus(requests, { method: 'none', route: 'none' }),

    countEvent,
    countAssertion,

    timeSessions: (sessions) =>
      wrapOperations(sessions, (operation) => {
        const times = operationTimes.with({ operation })
        const errors = operationErrors.with({ operation })
        return (act) => {
          const begin = performance.now()
          const addTime = () => times.add((performance.now() - begin) / 1000)
          const answer = act()
          answer.then(addTime, () => {
            addTime()
            errors.add()
          })
          // The caller waits for the store's own promise: an async function around it would cost a request 0.5 µs.
          return answer
        }
      }),

    databaseObserver: {
      onQuery: (milliseconds) => queryTimes.add(milliseconds / 1000),
      onConnection: (milliseconds) => connectionWaits.add(milliseconds / 1000),
      onFailure: () => queryErrors.add(),
    },

    hashingObserver: {
      waited: (milliseconds) => hashWaits.add(milliseconds / 1000),
      hashed: (milliseconds) => hashTimes.add(milliseconds / 1000),
      refused: () => hashRefusals.add(),
    },

    watchFollowers(waiting) {
      const help = 'Requests for the revocation feed that are held back until there is news.'
      register(gauge('latchkey_followers_waiting', help, () => [[{}, waiting()]]))
    },

    registerObserved(sources, droppedLogLines) {
      for (const each of createGauges(sources)) register(each)
      register(
        observedCounter(
          'latchkey_log_lines_dropped_total',
          'Log lines that were dropped, because their reader had stopped reading.',
          droppedLogLines,
        ),
      )
    },

    render: oneAtATime(async () => {
      registry ??= createRegistry(all)
      processRegistry ??= createProcessRegistry()
      const [own, process] = await Promise.all([registry, processRegistry])
      return { type: own.contentType, text: Buffer.from(`${await process.metrics()}\n${await own.metrics()}`) }
    }),
  }
}

/** Adds 1 to the series of a status. The first answer creates the series. */
function byStatus(requests: Counter, labels: Readonly<Record<string, string>>): (status: number) => void {
  const counts = new Map<number, CounterSeries>()
  return (status) => {
    let count = counts.get(status)
    if (!count) {
      count = requests.with({ ...labels, status: String(status) })
      counts.set(status, count)
    }
    count.add()
  }
}

// The first scrape loads prom-client: at the start it would take 20 ms and 3 MB.

async function createRegistry(all: readonly Metric[]): Promise<Registry> {
  const { Registry } = await import('prom-client')
  const registry = new Registry()
  for (const each of all) registry.registerMetric(each as unknown as Parameters<Registry['registerMetric']>[0])
  return registry
}

let processRegistry: Promise<Registry> | undefined

/** One registry for all services in a process: the observers of event loop and garbage collection never stop. */
async function createProcessRegistry(): Promise<Registry> {
  const { collectDefaultMetrics, Registry } = await import('prom-client')
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  return registry
}
