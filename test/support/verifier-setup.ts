import { setImmediate, setTimeout as sleep } from 'node:timers/promises'
import { createVerifier, type RevocationOptions, TokenError, type Verifier } from '@latchkey/verifier'
import { type Clock, systemClock } from '@latchkey/verifier/clock'
import { epochKey, feedKey } from '@latchkey/verifier/redis-keys'
import { Redis } from 'ioredis'
import type { Test } from 'tap'
import type { Tokens } from './api.js'
import { eventually, untilItSucceeds } from './eventually.js'
import { type RedisServer, startRedis } from './servers/redis.js'
import { type Environment, ISSUER, JWT_SECRET, PASSWORD, type RunningService, startService } from './service.js'

export interface VerifierSetup {
  redis: RedisServer
  /** The test's own client. */
  admin: Redis
  service: RunningService
  /** Signs in as a new user. */
  signIn(): Promise<Tokens>
}

/**
 * Starts a service with its own Redis, which seems to have been in use for an hour. Verifiers look up tokens of the
 * first seconds of a feed, because clocks differ. Other tests cover this.
 */
export async function startVerifierSetup(t: Test, overrides: Environment = {}): Promise<VerifierSetup> {
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  await seedFeed(redis.url)
  const setting = await startServiceOn(t, redis, overrides)
  // A test may close the service at once. Without its first heartbeat no verifier can follow this feed.
  await eventually(async () => {
    const [[last] = ['0']] = await setting.admin.xrevrange(feedKey, '+', '-', 'COUNT', 1)
    return Number.parseInt(last, 10) > Date.now() - 60_000
  })
  await ageEpoch(setting.admin)
  return setting
}

export async function startServiceOn(t: Test, redis: RedisServer, overrides: Environment = {}): Promise<VerifierSetup> {
  const admin = redisClient(t, redis.url)
  const service = await startService(t, 'sqlite', { REDIS_URL: redis.url, SESSIONS_PER_USER: '5000', ...overrides })
  let users = 0
  return {
    redis,
    admin,
    service,
    async signIn() {
      users += 1
      await service.api.signUp(`user${users}`, PASSWORD)
      return service.api.tokens(`user${users}`, PASSWORD)
    },
  }
}

export function redisClient(t: Test, url: string): Redis {
  const admin = new Redis(url, { retryStrategy: () => 50, maxRetriesPerRequest: null })
  admin.on('error', () => {})
  t.teardown(() => admin.disconnect())
  return admin
}

/** A service begins the epoch of a new Redis. This moves the epoch back by an hour. */
export async function ageEpoch(admin: Redis): Promise<void> {
  await admin.set(epochKey, Math.floor(Date.now() / 1000) - 3600)
}

/** Writes what an hour of use leaves in Redis. */
export async function seedFeed(url: string, seconds = 3600): Promise<void> {
  const admin = new Redis(url)
  const then = Math.floor(Date.now() / 1000) - seconds
  await admin.set(epochKey, then)
  await admin.xadd(feedKey, `${then}000-0`, 'hb', '960000', 'n', 'seed')
  admin.disconnect()
}

/** Waits until the verifier is ready. On a busy machine the first call of `ready()` may fail. */
export async function untilVerifierReady(verifier: Verifier): Promise<void> {
  await untilItSucceeds(() => verifier.ready())
}

/** Creates a verifier that the end of the test closes. */
export async function startVerifier(
  t: Test,
  revocation: RevocationOptions,
  clock: Clock = systemClock,
): Promise<Verifier> {
  const options = { issuer: ISSUER, audience: ISSUER, keys: { secrets: [JWT_SECRET] }, revocation }
  const verifier = createVerifier(options, clock)
  t.teardown(() => verifier.close())
  await verifier.ready()
  return verifier
}

/** The verdict of a verifier: `good`, or the code of its refusal. Asks once. */
export async function verdictOnce(verifier: Verifier, token: string): Promise<string> {
  return (await refusal(verifier, token))?.code ?? 'good'
}

/** Reasons of ioredis and of the verifier. The third: the process itself read two answers too late. */
const TOO_LATE = /timed out|no answer within|two answers in a row were older|Socket timeout/

/** The verdict of a verifier. For 3 s it asks again when an answer came too late, as on a busy machine. */
export async function verdict(verifier: Verifier, token: string): Promise<string> {
  for (const began = performance.now(); ; await sleep(50)) {
    const refused = await refusal(verifier, token)
    const isLate = refused?.code === 'unavailable' && TOO_LATE.test(refused.message)
    if (!isLate || performance.now() - began > 3000) return refused?.code ?? 'good'
  }
}

async function refusal(verifier: Verifier, token: string): Promise<TokenError | undefined> {
  try {
    await verifier.verify(token)
    return undefined
  } catch (error) {
    if (error instanceof TokenError) return error
    throw error
  }
}

/**
 * The result, or `late`. Timers of a starved process fire in the order of their deadlines. So a result with its own shorter
 * timeout is in time, however busy the machine is. A timeout of Redis reads the socket once more before it counts: that takes
 * a few turns of the event loop.
 */
export function resultOrLate<Value>(answer: Promise<Value>, milliseconds: number): Promise<Value | 'late'> {
  return Promise.race([answer, turnsAfter(milliseconds)])
}

async function turnsAfter(milliseconds: number): Promise<'late'> {
  await sleep(milliseconds)
  for (let turn = 0; turn < 5; turn += 1) await setImmediate()
  return 'late'
}

/** How often Redis has run a command. */
export async function countCommand(admin: Redis, command: string): Promise<number> {
  const stats = await admin.info('commandstats')
  return Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`, 'i').exec(stats)?.[1] ?? 0)
}

/** Writes heartbeats like a service that keeps entries for this many milliseconds. */
export function writeHeartbeats(t: Test, admin: Redis, kept = 960_000): void {
  let count = 0
  const timer = setInterval(() => admin.xadd(feedKey, '*', 'hb', kept, 'n', `test-${++count}`).catch(() => {}), 100)
  t.teardown(() => clearInterval(timer))
}

/** Makes Redis record its commands. Returns a function that returns them in lower case. */
export async function recordCommands(admin: Redis): Promise<() => Promise<string[]>> {
  await admin.config('SET', 'slowlog-max-len', 100_000)
  await admin.config('SET', 'slowlog-log-slower-than', 0)
  await admin.slowlog('RESET')
  return async () => {
    const log = (await admin.slowlog('GET', -1)) as [unknown, unknown, unknown, string[]][]
    return log.map(([, , , words]) => words.join(' ').toLowerCase())
  }
}
