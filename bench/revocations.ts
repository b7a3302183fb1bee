import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { pino } from 'pino'
import { addDevelopmentSecrets } from '../src/config/development-secrets.js'
import { readConfig } from '../src/config/read.js'
import { openStores } from '../src/stores.js'
import { Api } from '../test/support/api.js'
import { Feed, seedRevocations } from '../test/support/feed.js'
import { freePort } from '../test/support/servers/ports.js'
import { startPostgres } from '../test/support/servers/postgres.js'
import type { FollowerStart } from './follow-start.js'
import { seedSessions } from './seed.js'
import { type Server, startServer } from './server.js'
import { BASIC_CREDENTIALS, CLIENT, type Setting } from './setting.js'
import { startChild } from './start-child.js'

/** Followers of one instance, when its cost is measured. */
const FOLLOWERS = Number(process.env.BENCH_FOLLOWERS ?? 1000)
const SECONDS = Number(process.env.BENCH_SECONDS ?? 8)
/** The core of the probe and of the followers. The service has the other. */
const CORE = '1'
/** Entries of a long feed. */
const WINDOW = Number(process.env.BENCH_WINDOW ?? 1_000_000)
/** Followers and revocations, when the time of a revocation to its followers is measured. */
const FEW = 10
const A_MINUTE = 1000

const STORES = (process.env.BENCH_STORES ?? 'sqlite redis postgres').split(' ')

/** Milliseconds from the 204 of a sign-out until a follower has it. */
interface Latency {
  followers: number
  arrivals: number
  p50: number
  p99: number
  max: number
}

interface FollowerLoad {
  followers: number
  pollsPerSecond: number
  failed: number
  /** Cores that the instance uses. */
  cores: number
  coresWithRevocations: number
  /** Milliseconds. */
  introspectionP99: { idle: number; busy: number }
  /** Megabytes. */
  memory: number
}

/** A feed with many entries. */
export interface Window {
  entries: number
  /** Seconds from the start of an instance on this store until it is ready. */
  serviceStart: number
  follower: FollowerStart
  serviceCpuSeconds: number
  /** Megabytes. */
  serviceMemory: { before: number; highest: number }
}

/** What `GET /revocations` does on one store. A part that was not measured is undefined. */
export interface Revocations {
  store: string
  latency: Latency | undefined
  load: FollowerLoad | undefined
  window: Window | undefined
}

type Part = 'latency' | 'load' | 'window'

interface Bench {
  env: Record<string, string>
  folder: string
  service: Server
}

/** Measures `GET /revocations` on each store, and prints each measurement. */
export async function measureRevocations(
  setting: Setting,
  parts: (store: string) => readonly Part[],
): Promise<Revocations[]> {
  const results: Revocations[] = []
  for (const store of STORES) results.push(await measureStore(setting, store, parts(store)))
  return results
}

async function measureStore(
  { env: base, folder }: Setting,
  store: string,
  parts: readonly Part[],
): Promise<Revocations> {
  const postgres = store === 'postgres' ? await startPostgres() : undefined
  const { REDIS_URL, ...rest } = base
  const [PORT, MANAGEMENT_PORT] = [String(await freePort()), String(await freePort())]
  const env = {
    ...rest,
    ...(store === 'redis' && { REDIS_URL }),
    DATABASE_URL: postgres?.url ?? `sqlite:${join(folder, `${store}.db`)}`,
    PORT,
    MANAGEMENT_PORT,
  }
  const ready = `http://127.0.0.1:${MANAGEMENT_PORT}/readyz`
  const start = () => startServer('../src/server.js', env, `http://127.0.0.1:${PORT}`, ready)
  const bench: Bench = { env, folder, service: await start() }
  const measure = async <Result>(part: Part, run: () => Promise<Result>): Promise<Result | undefined> => {
    if (!parts.includes(part)) return undefined
    const figures = await run()
    process.stdout.write(`${JSON.stringify({ store, ...figures })}\n`)
    return figures
  }
  try {
    const latency = await measure('latency', () => measureLatency(bench))
    const load = await measure('load', () => measureLoad(bench))
    const window = await measure('window', () => measureWindow(bench, start))
    return { store, latency, load, window }
  } finally {
    await bench.service.stop()
    postgres?.stop()
  }
}

/** The time from the 204 of a sign-out until ten followers have it. */
async function measureLatency(bench: Bench): Promise<Latency> {
  const { url } = bench.service
  const api = new Api(url, CLIENT)
  const count = Math.round((A_MINUTE / 60) * SECONDS)
  const tokens = await tokensOf(bench, count)
  const acknowledged = new Map<string, number>()
  const late: number[] = []
  let isOver = false
  const followers = Array.from({ length: FEW }, async () => {
    const feed = await new Feed(new Api(url, CLIENT)).readAll()
    while (!isOver) {
      const had = feed.sids.length
      await feed.read(250)
      const now = performance.now()
      for (const sid of feed.sids.slice(had)) late.push(Math.max(0, now - (acknowledged.get(sid) ?? now)))
    }
  })
  await sleep(500)
  const began = performance.now()
  for (const [i, { token, sid }] of tokens.entries()) {
    await sleep(Math.max(0, began + (i * 60_000) / A_MINUTE - performance.now()))
    const { status } = await api.logout(token)
    if (status !== 204) throw new Error(`sign-out answered ${status}`)
    acknowledged.set(sid, performance.now())
  }
  await sleep(500)
  isOver = true
  await Promise.all(followers)
  late.sort((a, b) => a - b)
  const at = (share: number) => Number(late[Math.floor(share * (late.length - 1))]?.toFixed(1))
  return { followers: FEW, arrivals: late.length, p50: at(0.5), p99: at(0.99), max: at(1) }
}

/** CPU of an instance with many followers, and the 99th percentile of 200 introspections a second beside them. */
async function measureLoad(bench: Bench): Promise<FollowerLoad> {
  const { service } = bench
  const [{ token } = { token: '' }] = await tokensOf(bench, 1)
  const probe = startChild(
    './probe.js',
    { URL_TO_ASK: `${service.url}/introspect`, BASIC_CREDENTIALS, TOKEN: token },
    CORE,
  )
  await probe.ask('4')
  const idle = await probe.ask(String(SECONDS))
  const load = startChild('./follower-load.js', {
    PORT: new URL(service.url).port,
    BASIC_CREDENTIALS,
    FOLLOWERS: String(FOLLOWERS),
  })
  await sleep(3000)
  await load.ask('')
  const before = service.cpu()
  await sleep(SECONDS * 1000)
  const { answers, failed } = await load.ask('')
  const share = (service.cpu() - before) / (SECONDS * 1000)
  const busy = await probe.ask(String(SECONDS))
  await load.ask('')
  const tokens = await tokensOf(bench, Math.round((A_MINUTE / 60) * SECONDS))
  const api = new Api(service.url, CLIENT)
  const during = service.cpu()
  const began = performance.now()
  for (const [i, { token }] of tokens.entries()) {
    await sleep(Math.max(0, began + (i * 60_000) / A_MINUTE - performance.now()))
    await api.logout(token)
  }
  const withNews = (service.cpu() - during) / (performance.now() - began)
  load.end()
  probe.end()
  return {
    followers: FOLLOWERS,
    pollsPerSecond: answers / SECONDS,
    failed,
    cores: Number(share.toFixed(3)),
    coresWithRevocations: Number(withNews.toFixed(3)),
    introspectionP99: { idle: idle.p99, busy: busy.p99 },
    memory: Math.round(service.memory()),
  }
}

/** An instance that starts on a long feed, and a follower that reads this feed from its start. */
async function measureWindow(bench: Bench, start: () => Promise<Server>): Promise<Window> {
  await seedRevocations(bench.env, WINDOW)
  await bench.service.stop()
  const began = performance.now()
  bench.service = await start()
  const serviceStart = (performance.now() - began) / 1000
  const { service } = bench
  const before = { memory: service.memory(), cpu: service.cpu() }
  let highest = 0
  const sampling = setInterval(() => {
    highest = Math.max(highest, service.memory())
  }, 50)
  const script = fileURLToPath(new URL('./follow-start.js', import.meta.url))
  const { stdout } = await promisify(execFile)('taskset', ['-c', '1', process.execPath, '--expose-gc', script], {
    env: { PATH: process.env.PATH, ENDPOINT: `${service.url}/revocations` },
  })
  clearInterval(sampling)
  return {
    entries: WINDOW,
    serviceStart: Number(serviceStart.toFixed(2)),
    follower: JSON.parse(stdout),
    serviceCpuSeconds: Number(((service.cpu() - before.cpu) / 1000).toFixed(1)),
    serviceMemory: { before: Math.round(before.memory), highest: Math.round(highest) },
  }
}

/** Sessions that live, and a token of each. */
async function tokensOf({ env, folder }: Bench, count: number): Promise<{ token: string; sid: string }[]> {
  const config = addDevelopmentSecrets(readConfig(env))
  const { sessions, redis, close } = await openStores(config, pino({ level: 'silent' }), undefined, 'service')
  if (redis && redis.status !== 'ready') await once(redis, 'ready')
  const { accessTokens } = await seedSessions(sessions, config, { users: count, each: 1, folder, name: 'revocations' })
  await close()
  const tokens = readFileSync(accessTokens, 'utf8').trimEnd().split('\n')
  return tokens.map((token) => ({
    token,
    sid: JSON.parse(Buffer.from(token.split('.')[1] as string, 'base64url').toString()).sid,
  }))
}
