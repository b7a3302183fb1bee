import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import type { Logger } from 'pino'
import type { TAP, Test } from 'tap'
import { createService, type Service } from '../../src/app.js'
import type { Config } from '../../src/config/config.js'
import { addDevelopmentSecrets } from '../../src/config/development-secrets.js'
import { readConfig } from '../../src/config/read.js'
import { createLogger } from '../../src/log.js'
import { Unavailable } from '../../src/unavailable.js'
import { Api, PatientApi } from './api.js'
import { eventually } from './eventually.js'
import { wasConnectionLate } from './ready-database.js'
import { freePort } from './servers/ports.js'
import { createPostgresDatabase } from './servers/postgres.js'
import { type RedisServer, startRedis } from './servers/redis.js'
import { isAll, isRest } from './size.js'

/** The stores: SQLite for all, Postgres for all, or accounts in SQLite and sessions in Redis. */
export const stores = ['sqlite', 'postgres', 'redis'] as const
export type Store = (typeof stores)[number]
/** For rules that do not depend on the store: one store in `npm test`, every store in `npm run test:all`. */
export const anyStore = storesOfRun(['sqlite'])
/** For rules about accounts: `redis` has its accounts in SQLite too. */
export const accountStores = storesOfRun(['sqlite', 'postgres'])

function storesOfRun(quick: readonly Store[]): readonly Store[] {
  if (!isAll) return quick
  return isRest ? stores.filter((store) => !quick.includes(store)) : stores
}

export const ISSUER = 'http://latchkey.test'
export const CLIENT = { id: 'todo', secret: 'h8Wq7fQ2vT9kZ4xN8mB3jR6pL1sD5hG0yCu' }
export const JWT_SECRET = 'jwt-9fKq2Lx7Zr4Vb1Nc8Mw5Td3Hs6Gp0Yj'
export const REFRESH_SECRET = 'mac-3Hs6Gp0YjWq9Ea2Rt7Uy4Io1Pl5Kx8'
export const DATA_SECRET = 'data-4Tw8Kc1Vn6Xs3Bz9Qm5Jh7Rf2Lg0Pd'
export const PASSWORD = 'correct horse battery staple'

export type Environment = Record<string, string>

/** The settings of a service on its own stores, which the end of the test deletes. */
export async function environment(t: Test | TAP, store: Store, overrides: Environment = {}): Promise<Environment> {
  const env: Environment = {
    NODE_ENV: 'test',
    ISSUER,
    JWT_SECRET,
    REFRESH_SECRET,
    BOOTSTRAP_CLIENT: `${CLIENT.id}:${CLIENT.secret}`,
    PORT: '0',
    MANAGEMENT_PORT: '0',
    DATA_SECRET,
    // The API document takes a third of a start. Tests that read it set `DOCS`.
    DOCS: 'off',
    CONSOLE: 'off',
    // Production refuses the cheap hash parameters. Tests about hashing set `full`.
    HASH_COST: overrides.NODE_ENV === 'production' ? 'full' : 'test',
  }
  if (store === 'postgres') {
    const { url, drop } = await createPostgresDatabase('migrated')
    t.teardown(drop)
    env.DATABASE_URL = url
  } else {
    env.DATABASE_URL = `sqlite:${join(temporaryFolder(t), 'latchkey.db')}`
  }
  if (store === 'redis') {
    env.REDIS_URL = (await redisOf(t)).url
  }
  return { ...env, ...overrides }
}

/** A Redis that the end of the test stops. */
export async function redisOf(t: Test | TAP, args: string[] = []): Promise<RedisServer> {
  const redis = await startRedis({ args })
  t.teardown(() => redis.stop())
  return redis
}

export function temporaryFolder(t: Test | TAP): string {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-test-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

export interface RunningService {
  /** Repeats a request when a store failed, as it may on a busy machine. */
  api: Api
  /** Sends each request once, for a test in which a store fails. */
  once: Api
  config: Config
  env: Environment
  /** Every log line so far, parsed. */
  log: Record<string, unknown>[]
  /** The lines of the audit log with this event. */
  audited(event: string): Record<string, unknown>[]
  managementUrl: string
  close(): Promise<void>
}

/** Starts the service in this process on real ports. The end of the test stops it. */
export async function startService(t: Test | TAP, store: Store, overrides: Environment = {}): Promise<RunningService> {
  return startReady(t, await environment(t, store, overrides))
}

/** Starts a service with existing settings, and waits until it is ready. */
export async function startReady(t: Test | TAP, env: Environment): Promise<RunningService> {
  const service = await startServiceWith(t, env)
  await untilReady(service.managementUrl)
  return service
}

/** The service listens before its Redis has answered, so an earlier request may fail. */
export async function untilReady(managementUrl: string): Promise<void> {
  await eventually(async () => (await fetch(`${managementUrl}/readyz`)).ok)
}

/** Starts a service with existing settings: a second replica, or a restart. */
export async function startServiceWith(t: Test | TAP, env: Environment): Promise<RunningService> {
  const config = addDevelopmentSecrets(readConfig(env))
  const log: Record<string, unknown>[] = []
  const sink = new Writable({
    write(line, _encoding, done) {
      log.push(JSON.parse(String(line)))
      done()
    },
  })
  const service = await createPatiently(config, createLogger(env.LOG_LEVEL ?? 'debug', sink))
  const url = await service.app.listen({ host: '127.0.0.1', port: 0 })
  const managementUrl = await service.management.listen({ host: '127.0.0.1', port: 0 })
  let closed: Promise<void> | undefined
  const close = () => {
    closed ??= service.close()
    return closed
  }
  // Teardowns run in reverse order: the service stops before its stores.
  t.teardown(close)
  return {
    api: new PatientApi(url, CLIENT, ({ headers }) =>
      storeFailures(log).some(({ reqId }) => reqId === headers['x-request-id']),
    ),
    once: new Api(url, CLIENT),
    config,
    env,
    log,
    audited: (event) => log.filter((line) => line.log === 'audit' && line.event === event),
    managementUrl,
    close,
  }
}

/** The log lines of the requests that got 503 because a store failed, and not because of the hashing queue. */
export function storeFailures(log: Record<string, unknown>[]): Record<string, unknown>[] {
  return log.filter(
    ({ msg, dependency }) => msg === 'unavailable' && (dependency === 'redis' || dependency === 'database'),
  )
}

/** Starts again when the database exceeded a timeout, as on a busy machine. A supervisor starts a process again too. */
async function createPatiently(config: Config, logger: Logger): Promise<Service> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await createService(config, logger)
    } catch (error) {
      const isLate = error instanceof Unavailable && /timeout|trying to connect/.test(error.message)
      if (!isLate || tries === 10) throw error
    }
  }
}

export interface SpawnedService {
  /** Repeats a request after a 503. */
  api: Api
  /** Sends each request once, for a test in which the service or a store fails. */
  once: Api
  managementUrl: string
  process: ChildProcess
  /** The whole output so far. */
  output(): string
  /** Sends the signal, and waits for the exit and the last output. Returns the exit code or the signal that ended the process. */
  end(signal: NodeJS.Signals): Promise<number | NodeJS.Signals | null>
}

/** Starts the service as its own process, like `npm start`, and again as a supervisor does. The end of the test kills it. */
export async function spawnService(
  t: Test,
  env: Environment,
  ports?: [number, number],
  until: 'ready' | 'live' = 'ready',
): Promise<SpawnedService> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await spawnOnce(t, env, ports, until)
    } catch (error) {
      if (tries === 3 || !wasConnectionLate(String(error))) throw error
    }
  }
}

async function spawnOnce(
  t: Test,
  env: Environment,
  ports: [number, number] | undefined,
  until: 'ready' | 'live',
): Promise<SpawnedService> {
  const [port, managementPort] = ports ?? [await freePort(), await freePort()]
  const child = spawn(process.execPath, [fileURLToPath(new URL('../../src/server.js', import.meta.url))], {
    env: { PATH: process.env.PATH, ...env, PORT: String(port), MANAGEMENT_PORT: String(managementPort) },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk))
  // Unlike `exit`, this event comes after the last output.
  const closed = once(child, 'close')
  const end = async (signal: NodeJS.Signals) => {
    child.kill(signal)
    await closed
    return child.exitCode ?? child.signalCode
  }
  t.teardown(() => end('SIGKILL'))
  const managementUrl = `http://127.0.0.1:${managementPort}`
  await eventually(async () => {
    if (child.exitCode !== null || child.signalCode !== null) {
      await closed
      throw new Error(`the service did not start:\n${output}`)
    }
    return fetch(`${managementUrl}/${until}z`).then(
      ({ ok }) => ok,
      () => false,
    )
  }, 120_000)
  const url = `http://127.0.0.1:${port}`
  return {
    api: new PatientApi(url, CLIENT),
    once: new Api(url, CLIENT),
    managementUrl,
    process: child,
    output: () => output,
    end,
  }
}
