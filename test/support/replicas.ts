import { setTimeout as sleep } from 'node:timers/promises'
import type { Test } from 'tap'
import { readConfig } from '../../src/config/read.js'
import { createLogger } from '../../src/log.js'
import type { SessionStore } from '../../src/sessions/session.js'
import { openStores } from '../../src/stores.js'
import { createPasswordHashing } from '../../src/users/password-hashing.js'
import { createUsers, type Users } from '../../src/users/users.js'
import { type Answer, Api, type Call } from './api.js'
import { untilItSucceeds } from './eventually.js'
import { startRedis } from './servers/redis.js'
import { CLIENT, type Environment, environment, type SpawnedService, spawnService } from './service.js'

export interface Services {
  users: Users
  sessions: SessionStore
}

/** Three processes of the service on one Postgres. Sessions are there or in one Redis. */
export interface Replicas {
  /** Each process in turn. */
  next(): Api
  apis: [Api, Api, Api]
  /** How many answers were 5xx. Each request was repeated. */
  unavailable(): number
  processes: SpawnedService[]
  /** The settings of each. */
  env: Environment
  /** How many lines of the audit logs have this event. */
  audited(event: string): number
  /** What an administrator's tool uses: the same stores, without HTTP. */
  services: Services
}

export async function startReplicas(
  t: Test,
  sessionsIn: 'redis' | 'postgres',
  overrides: Environment = {},
): Promise<Replicas> {
  const env = await environment(t, 'postgres', {
    HASH_CONCURRENCY: '4',
    HASH_QUEUE: '1000',
    DOCS: 'off',
    ...overrides,
  })
  if (sessionsIn === 'redis') {
    const redis = await startRedis()
    t.teardown(() => redis.stop())
    env.REDIS_URL = redis.url
  }
  // All start at once on an empty database. The first process creates the tables.
  const processes = await Promise.all([1, 2, 3].map(() => spawnService(t, env)))
  const apis = processes.map(({ api }) => new PersistentApi(api.url, CLIENT)) as Persistent
  let turn = 0
  return {
    apis,
    processes,
    env,
    unavailable: () => apis.reduce((sum, { unavailable }) => sum + unavailable, 0),
    next: () => apis[turn++ % 3] as Api,
    audited: (event) => processes.reduce((sum, { output }) => sum + output().split(`"event":"${event}"`).length - 1, 0),
    services: await openServices(t, env),
  }
}

type Persistent = [PersistentApi, PersistentApi, PersistentApi]

/**
 * A caller that repeats a request after a 503, as callers should. Whether a busy machine serves 150 requests in time is
 * not the subject here.
 */
class PersistentApi extends Api {
  unavailable = 0

  override async call(path: string, call?: Call): Promise<Answer> {
    for (;;) {
      const answer = await super.call(path, call)
      if (answer.status < 500) return answer
      this.unavailable += 1
      const seconds = Number(answer.headers['retry-after'])
      if (answer.status !== 503 || !(seconds > 0)) throw new Error(`${path} answered ${answer.status} ${answer.text}`)
      await sleep(seconds * 1000 * (0.5 + Math.random()))
    }
  }
}

async function openServices(t: Test, env: Environment): Promise<Services> {
  const { database, sessions, close } = await openStores(readConfig(env), createLogger('silent'))
  t.teardown(close)
  await untilItSucceeds(() => sessions.ping())
  return { users: createUsers(database, createPasswordHashing({ concurrency: 1, queue: 1 })), sessions }
}

/** Counts the answers by status. */
export class Tally {
  readonly #counts = new Map<number, number>()
  readonly #started = Date.now()
  readonly #before: number

  constructor(readonly replicas: Pick<Replicas, 'unavailable'>) {
    this.#before = replicas.unavailable()
  }

  /** The number of 503 answers since the start. Each request was repeated. */
  unavailable(): number {
    return this.replicas.unavailable() - this.#before
  }

  count(answer: Answer): Answer {
    this.#counts.set(answer.status, (this.#counts.get(answer.status) ?? 0) + 1)
    return answer
  }

  /** Whether only these statuses were counted. */
  holdsOnly(...statuses: number[]): boolean {
    return [...this.#counts.keys()].every((status) => statuses.includes(status))
  }

  toString(): string {
    const counts = [...this.#counts].sort().map(([status, n]) => `${n} × ${status}`)
    return `${counts.join(', ')}; ${this.unavailable()} × 503 before; ${Date.now() - this.#started} ms`
  }
}
