import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { epochKey, feedKey, storeIdKey } from '@latchkey/verifier/redis-keys'
import { Redis } from 'ioredis'
import type { Test } from 'tap'
import { basicAuthorization } from './api.js'
import { startRedis } from './servers/redis.js'
import { CLIENT, environment, PASSWORD, spawnService } from './service.js'

export interface Soak {
  requests: number
  /** The number of answers with an unexpected status. */
  unexpected: number
  /** The memory of the process in MiB after the warm-up and at the end. Each is a median, because garbage varies. */
  rss: { base: number; end: number }
  /** Open files and sockets at the start and at the end. */
  handles: { base: number; end: number }
  /** Redis keys except counters of wrong passwords, and the keys that never expire. */
  keys: { base: number; end: number; endless: string[] }
}

/** Sends sign-ins, and hostile requests with new names and addresses, for this many seconds. */
export async function soak(t: Test, seconds: number, tell: (line: string) => void = () => {}): Promise<Soak> {
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  const env = await environment(t, 'sqlite', {
    REDIS_URL: redis.url,
    LOG_LEVEL: 'error',
    TRUST_PROXY: '127.0.0.1',
    // Short enough for a soak of the test suite: keys with the life of a token expire meanwhile.
    ACCESS_TTL: '5s',
  })
  const service = await spawnService(t, env)
  const { once: api } = service
  const admin = new Redis(redis.url)
  t.teardown(() => admin.disconnect())
  await api.signUp('ada', PASSWORD)
  const pid = service.process.pid as number
  const rssNow = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024
  const handlesNow = () => readdirSync(`/proc/${pid}/fd`).length
  const keysNow = async () => (await admin.keys('*')).filter((key) => !key.startsWith('lk1:t:'))
  const [handles, keys] = [handlesNow(), await keysNow()]

  const end = Date.now() + seconds * 1000
  const result = { requests: 0, unexpected: 0 }
  const random = (below: number) => Math.floor(Math.random() * below)
  const address = () => ({ 'x-forwarded-for': `10.${random(256)}.${random(256)}.${random(256)}` })
  const ask = async (expected: number[], answer: ReturnType<typeof api.call>) => {
    result.requests += 1
    const { status, body } = await answer
    // 503 means a busy hash queue, which is not the subject here.
    if (status !== 503 && !expected.includes(status)) result.unexpected += 1
    return { status, body }
  }

  const people = [1, 2].map(async () => {
    while (Date.now() < end) {
      const { status, body } = await ask([200], api.login('ada', PASSWORD))
      if (status !== 200) continue
      let tokens = body
      for (let i = 0; i < 10; i += 1) {
        const { access_token: token } = tokens
        for (let j = 0; j < 5; j += 1) await ask([200], api.introspect(token))
        await ask([200], api.call('/verify', { bearer: token }))
        const refreshed = await ask([200], api.refresh(tokens.refresh_token))
        if (refreshed.status === 200) tokens = refreshed.body
      }
      await ask([204], api.logout(tokens.refresh_token))
    }
  })
  const strangers = [1, 2, 3].map(async (lane) => {
    while (Date.now() < end) {
      const name = `stranger-${random(100_000)}`
      if (lane === 1) {
        const json = { username: name, password: 'a guess that is long enough' }
        await ask([401, 429], api.call('/login', { json, headers: address() }))
      }
      const headers = { ...address(), ...basicAuthorization({ id: name, secret: CLIENT.secret }) }
      await ask([401], api.call('/introspect', { form: { token: name }, headers }))
      await ask([400], api.refresh(`lkr_${name}`))
      await ask([401], api.call(`/verify/${name}`, { bearer: `${name}.x.y`, headers: address() }))
    }
  })

  await sleep(Math.min(60_000, seconds * 400))
  const rss: number[] = []
  for (let told = Date.now(); Date.now() < end; ) {
    rss.push(rssNow())
    if (Date.now() - told > 60_000) {
      told = Date.now()
      tell(
        `${result.requests} requests, ${Math.round(rssNow())} MiB, ${handlesNow()} handles, ${await admin.dbsize()} keys`,
      )
    }
    await sleep(500)
  }
  await Promise.all([...people, ...strangers])
  api.close()
  // The service closes idle connections of callers after a while.
  for (let i = 0; i < 100 && handlesNow() > handles; i += 1) await sleep(100)
  // Some keys live as long as an access token.
  for (let i = 0; i < 100 && (await keysNow()).length > keys.length; i += 1) await sleep(100)
  const all = await admin.keys('*')
  const ttls = await Promise.all(all.map((key) => admin.pttl(key)))
  return {
    ...result,
    rss: { base: middle(rss.slice(0, 10)), end: middle(rss.slice(-10)) },
    handles: { base: handles, end: handlesNow() },
    keys: {
      base: keys.length,
      end: (await keysNow()).length,
      endless: all.filter((key, i) => ttls[i] === -1 && ![feedKey, epochKey, storeIdKey].includes(key)),
    },
  }
}

function middle(numbers: number[]): number {
  return Math.round(numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0)
}
