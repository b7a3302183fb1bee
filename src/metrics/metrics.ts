import type { FastifyInstance } from 'fastify'
import type { Registry } from 'prom-client'
import { type AuditEvent, SESSION_ENDS } from '../audit.js'
import type { DatabaseObserver } from '../database/database.js'
import type { SessionStore } from '../sessions/session.js'
import { wrapOperations } from '../sessions/wrap-operations.js'
import type { HashingObserver, PasswordHashing } from '../users/password.js'
import { readVersion } from '../version.js'
import {
  type Count,
  type Counter,
  counter,
  counterOf,
  type Distribution,
  gauge,
  histogram,
  type Metric,
} from './series.js'

export interface Metrics {
  /** Call before the routes: each that comes after it is counted and timed, under its pattern. */
  watchRoutes(app: FastifyInstance): void
  /** A request that no route took: it has a status and nothing else that is ours. */
  countUnrouted(status: number): void
  countEvent(event: AuditEvent): void
  /** The same store, each of whose operations is timed. */
  timeSessions(sessions: SessionStore): SessionStore
  readonly databaseObserver: DatabaseObserver
  readonly hashingObserver: HashingObserver
  /** What is asked of the parts when somebody scrapes. */
  registerGauges(parts: Parts): void
  /** All of it, as Prometheus reads it. */
  render(): Promise<{ type: string; text: Buffer }>
}

export interface Parts {
  sessions: SessionStore
  hashing: PasswordHashing
  hashQueue: number
  /** Lines of the log that were dropped since the start. */
  droppedLogLines: () => number
  /** Each dependency's check, by its name: throws when the dependency does not answer. */
  checks: Readonly<Record<string, () => Promise<void>>>
}

const REQUEST_BOUNDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5]
const STORE_BOUNDS = [0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1]
const HASHING_BOUNDS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5]

// There from the start, at 0: of a series that begins with its first event, Prometheus does not see that event.
const RESULTS = ['accepted', 'unknown_user', 'wrong_password', 'disabled', 'throttled']
const OUTCOMES = ['rotated', 'replayed', 'reused', 'forged', 'no_such_session']

/**
 * What is counted, for Prometheus. No label has a value that callers choose: routes by their pattern, never an address, a
 * user or a token. An introspection pays 0.25 µs for it, of some 40.
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
  const signIns = register(counter('latchkey_sign_ins_total', 'Sign-ins, by result.'))
  const rotations = register(counter('latchkey_rotations_total', 'Refresh tokens presented, by outcome.'))
  const revocations = register(
    counter('latchkey_revocations_total', 'Sessions ended, by cause; client_tokens: of a client its own tokens.'),
  )
  const refusedClients = register(
    counter('latchkey_clients_refused_total', 'Requests of a client whose id, secret or token was wrong.'),
  ).with({})
  const operationTimes = register(
    histogram('latchkey_session_store_duration_seconds', 'Operations of the session store.', STORE_BOUNDS),
  )
  const operationErrors = register(
    counter('latchkey_session_store_errors_total', 'Operations of the session store that failed.'),
  )
  const queryTimes = register(
    histogram('latchkey_database_query_duration_seconds', 'Queries of the database.', STORE_BOUNDS),
  ).with({})
  const queryErrors = register(
    counter('latchkey_database_errors_total', 'Queries and connections of the database that failed.'),
  ).with({})
  const connectionWaits = register(
    histogram('latchkey_database_connection_wait_seconds', 'Waits for a connection of the pool.', STORE_BOUNDS),
  ).with({})
  const hashWaits = register(
    histogram('latchkey_hash_wait_seconds', 'Waits of passwords in the queue to be hashed.', HASHING_BOUNDS),
  ).with({})
  const hashTimes = register(
    histogram('latchkey_hash_duration_seconds', 'Hashing of a password, without its wait.', HASHING_BOUNDS),
  ).with({})
  const hashRefusals = register(
    counter('latchkey_hash_refused_total', 'Passwords refused with 503, for the queue was full.'),
  ).with({})
  let registry: Promise<Registry> | undefined
  for (const result of RESULTS) signIns.with({ result })
  for (const outcome of OUTCOMES) rotations.with({ outcome })
  for (const cause of [...SESSION_ENDS, 'client_tokens']) revocations.with({ cause })

  return {
    watchRoutes(app) {
      app.addHook('onRoute', (route) => {
        const methods = [route.method].flat()
        const labels = { method: methods.length === 1 ? String(methods[0]) : 'any', route: route.url }
        const countStatus = byStatus(requests, labels)
        let times: Distribution | undefined
        route.onResponse = [
          ...[route.onResponse ?? []].flat(),
          (_request, reply, done) => {
            countStatus(reply.statusCode)
            // Made when the first answer comes: most routes never answer to most methods.
            times ??= requestTimes.with(labels)
            times.add(reply.elapsedTime / 1000)
            done()
          },
        ]
      })
    },

    countUnrouted: byStatus(requests, { method: 'none', route: 'none' }),

    countEvent(event) {
      switch (event.event) {
        case 'login.accepted':
          return signIns.with({ result: 'accepted' }).add()
        case 'login.refused':
          return signIns.with({ result: event.reason }).add()
        case 'refresh.rotated':
        case 'refresh.replayed':
        case 'refresh.reused':
          return rotations.with({ outcome: event.event.slice('refresh.'.length) }).add()
        case 'refresh.refused':
          return rotations.with({ outcome: event.reason }).add()
        case 'session.ended':
          return revocations.with({ cause: event.reason }).add(event.sids.length)
        case 'client.tokens_revoked':
          return revocations.with({ cause: 'client_tokens' }).add()
        case 'client.refused':
          return refusedClients.add()
        default:
          return
      }
    },

    timeSessions: (sessions) =>
      wrapOperations(sessions, (operation) => {
        const times = operationTimes.with({ operation })
        const errors = operationErrors.with({ operation })
        return async (act) => {
          const begin = performance.now()
          try {
            return await act()
          } catch (error) {
            errors.add()
            throw error
          } finally {
            times.add((performance.now() - begin) / 1000)
          }
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

    registerGauges({ sessions, hashing, hashQueue, droppedLogLines, checks }) {
      const gauges = [
        gauge('latchkey_build_info', 'What runs here: always 1.', () => [
          [{ version: readVersion(), node: process.versions.node }, 1],
        ]),
        gauge('latchkey_hash_active', 'Passwords that are hashed now.', () => [[{}, hashing.load().active]]),
        gauge('latchkey_hash_waiting', 'Passwords that wait to be hashed.', () => [[{}, hashing.load().waiting]]),
        gauge('latchkey_hash_queue_limit', 'HASH_QUEUE: passwords that may wait.', () => [[{}, hashQueue]]),
        gauge('latchkey_dependency_up', 'Whether the dependency answers: 1 or 0.', () =>
          Promise.all(
            Object.entries(checks).map(
              async ([dependency, check]): Promise<[{ dependency: string }, number]> => [
                { dependency },
                await check().then(
                  () => 1,
                  () => 0,
                ),
              ],
            ),
          ),
        ),
        gauge(
          'latchkey_sessions_live',
          'Sessions that live, in the whole store, about: each replica says the same.',
          async () => [[{}, await sessions.count()]],
        ),
        gauge(
          'latchkey_feed_age_seconds',
          'Age of the last entry of the feed of revocations: past 1 s its followers look each token up.',
          async () => {
            const age = await sessions.feedAge()
            return age === undefined ? [] : [[{}, age / 1000]]
          },
        ),
      ]
      for (const each of gauges) register(each)
      register(
        counterOf(
          'latchkey_log_lines_dropped_total',
          'Lines of the log that were dropped, for their reader had stopped reading.',
          droppedLogLines,
        ),
      )
    },

    render: oneAtATime(async () => {
      registry ??= registryOf(all)
      processRegistry ??= registryOfProcess()
      const [own, process] = await Promise.all([registry, processRegistry])
      return { type: own.contentType, text: Buffer.from(`${await process.metrics()}\n${await own.metrics()}`) }
    }),
  }
}

/** Of calls that come while one is at work, all get the result of the next: 200 scrapes at once took 1.2 GB. */
function oneAtATime<Result>(act: () => Promise<Result>): () => Promise<Result> {
  let current: Promise<unknown> = Promise.resolve()
  let next: Promise<Result> | undefined
  return () => {
    next ??= current.then(() => {
      next = undefined
      const result = act()
      current = result.catch(() => {})
      return result
    })
    return next
  }
}

/** Adds one to the series of a status, which is made when its first answer comes. */
function byStatus(requests: Counter, labels: Readonly<Record<string, string>>): (status: number) => void {
  const counts = new Map<number, Count>()
  return (status) => {
    let count = counts.get(status)
    if (!count) {
      count = requests.with({ ...labels, status: String(status) })
      counts.set(status, count)
    }
    count.add()
  }
}

// Both are made, and their library is loaded, at the first scrape: it took 20 ms of each start.

async function registryOf(all: readonly Metric[]): Promise<Registry> {
  const { Registry } = await import('prom-client')
  const registry = new Registry()
  for (const each of all) registry.registerMetric(each as unknown as Parameters<Registry['registerMetric']>[0])
  return registry
}

let processRegistry: Promise<Registry> | undefined

/** One for all services in a process: its watchers of the event loop and of garbage collection never stop. */
async function registryOfProcess(): Promise<Registry> {
  const { collectDefaultMetrics, Registry } = await import('prom-client')
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  return registry
}
