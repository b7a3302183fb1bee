import {
  clientRevocationKey,
  epochKey,
  feedKey,
  feedRetentionKey,
  sessionIndexKey,
  sessionKey,
} from '@latchkey/verifier/redis-keys'
import { Redis } from 'ioredis'
import { test } from 'tap'
import { connectRedis } from '../../src/sessions/redis/client.js'
import { createRedisSessions } from '../../src/sessions/redis/sessions.js'
import type { SessionStore } from '../../src/sessions/session.js'
import { secondsNow } from '../support/assertions.js'
import { eventually } from '../support/eventually.js'
import { freePort } from '../support/servers/ports.js'
import { startRedis } from '../support/servers/redis.js'
import { watchCommands } from '../support/servers/redis-commands.js'
import { newSession, newUserId, openRedisStore, presentGeneration } from '../support/stores.js'
import { resultOrLate } from '../support/verifier-setup.js'

test('the sessions that one call ends are one entry of the feed', async (t) => {
  const { client, sessions } = await openRedisStore(t)
  const sub = newUserId()
  const [first, second, third] = await signIns(sessions, sub, 3)

  await sessions.revoke(sub, [first as string])
  await sessions.revokeAll(sub, second)

  t.strictSame(await told(client), [
    ['sid', first],
    ['sid', third],
  ])
  await sessions.create(newSession(sub, { sid: 'another' }))
  await sessions.revokeAll(sub)
  const fields = (await told(client)).at(-1) as string[]
  t.strictSame(
    fields.filter((_, i) => i % 2 === 0),
    ['sid', 'sid'],
  )
  t.strictSame(new Set(fields.filter((_, i) => i % 2)), new Set([second, 'another']))
})

test('the feed gets the revocation before the key is deleted: a retry completes a crash in between', async (t) => {
  const { client, url, sessions } = await openRedisStore(t)
  const { session } = await sessions.create(newSession(newUserId()))
  const seen: string[] = []
  await watchCommands(t, url, ([name = '', ...args]) => seen.push(`${name.toUpperCase()} ${args.join(' ')}`))

  await sessions.revoke(session.sub, [session.sid])
  await eventually(async () => seen.some((line) => line.startsWith('DEL')))

  const position = (command: string) => seen.findIndex((line) => line.startsWith(command) && line.includes(session.sid))
  t.ok(position('XADD') >= 0 && position('XADD') < position('DEL'), seen.join('\n'))
  t.equal(await client.exists(sessionKey(session.sub, session.sid)), 0)
})

test('a sample of many keys estimates the number of sessions, and the feed gives its age', async (t) => {
  const { client, sessions } = await openRedisStore(t)
  for (let i = 0; i < 20; i += 1) await signIns(sessions, newUserId(), 100)
  await client.mset(Object.fromEntries(Array.from({ length: 2000 }, (_, i) => [`lk1:t:f:${i}`, '1'])))

  const count = await sessions.count()
  t.ok(count > 1500 && count < 2500, `2,000 of 4,022 keys are sessions: ${count}`)

  await eventually(async () => ((await sessions.feedAge()) ?? 9999) < 1000)
})

test('instances keep the feed alive together: none writes a heartbeat after another has', async (t) => {
  const { client, replica } = await openRedisStore(t)
  await replica()
  await replica()
  await eventually(async () => (await client.xlen(feedKey)) > 0)
  const before = await client.xlen(feedKey)

  await eventually(async () => (await client.xlen(feedKey)) >= before + 5)

  const times = (await client.xrange(feedKey, '-', '+')).map(([id]) => Number.parseInt(id, 10)).slice(-5)
  const took = (times[4] as number) - (times[0] as number)
  t.ok(took >= 800, `5 heartbeats of 3 instances within ${took} ms`)
  const [last, one] = await client.xrevrange(feedKey, '+', '-', 'COUNT', 2)
  t.match(last?.[1], ['hb', /^\d{5,}$/, 'n', /^[\w-]{8}$/], 'it says for how many milliseconds entries are kept')
  t.equal(last?.[1].length, 4)
  t.not(last?.[1][3], one?.[1][3], 'and no two are alike')
})

test('the epoch exists before the first session, and never changes', async (t) => {
  const { client, sessions } = await openRedisStore(t)
  await client.flushall()

  const { session } = await sessions.create(newSession(newUserId()))

  const epoch = Number(await client.get(epochKey))
  t.ok(epoch > 0 && epoch <= Math.floor(session.createdAt / 1000))
  await client.set(epochKey, '12345')
  await sessions.create(newSession(newUserId()))
  await nextHeartbeat(client)
  t.equal(await client.get(epochKey), '12345')
})

test('F6: an emptied Redis knows no session, and its new epoch says since when; nothing revoked becomes valid', async (t) => {
  const { client, sessions } = await openRedisStore(t)
  const sub = newUserId()
  const [revoked, living] = (await signIns(sessions, sub, 2)) as [string, string]
  await sessions.revoke(sub, [revoked])
  await client.set(epochKey, '12345')

  await client.flushall()

  for (const sid of [revoked, living]) {
    t.equal(await sessions.findUsername(sub, sid), undefined)
    t.strictSame(await presentGeneration(sessions, sub, sid, 0), { outcome: 'unknown' })
  }
  t.strictSame(await sessions.list(sub), [])
  await eventually(async () => (await client.exists(epochKey, feedKey)) === 2)
  t.ok(Math.abs(Number(await client.get(epochKey)) - Date.now() / 1000) < 10, 'a new epoch, by itself')
})

test('scripts that Redis has lost are sent again', async (t) => {
  const { client, sessions } = await openRedisStore(t)
  const sub = newUserId()
  const forget = () => client.script('FLUSH')
  const { session } = await sessions.create(newSession(sub))
  await presentGeneration(sessions, sub, session.sid, 0)
  const { session: another } = await sessions.create(newSession(sub))
  await sessions.revoke(sub, [another.sid])

  await forget()
  t.strictSame((await sessions.create(newSession(sub))).excess, [])
  await forget()
  t.match(await presentGeneration(sessions, sub, session.sid, 1), { outcome: 'rotated' })
  await forget()
  t.strictSame(await sessions.revoke(sub, [session.sid]), [session.sid])
  await forget()
  const all = await Promise.all([
    presentGeneration(sessions, sub, 'x', 0),
    presentGeneration(sessions, sub, 'y', 0),
    sessions.revokeAll(sub),
  ])
  t.match(all, [{ outcome: 'unknown' }, { outcome: 'unknown' }, [String]])
  t.equal(all[2].length, 1)
})

test('F30: every key expires, except the trimmed feed', async (t) => {
  const { client, sessions, replica } = await openRedisStore(t, { sessionMaxAge: 60_000 })
  const unlimited = createRedisSessions(client, { ...limits, sessionMaxAge: 0 })
  t.teardown(() => unlimited.close())
  for (const store of [sessions, await replica(), unlimited]) {
    const sub = newUserId()
    const [first, second] = (await signIns(store, sub, 3)) as [string, string]
    await presentGeneration(store, sub, first, 0)
    await presentGeneration(store, sub, first, 0)
    await store.revoke(sub, [second])
  }

  await eventually(async () => (await client.exists(feedRetentionKey)) === 1)
  const keys = (await client.keys('*')).sort()
  t.equal(keys.length, 3 * 3 + 3, 'a user has the two sessions and the index; the rest is feed, retention and epoch')
  for (const key of keys) {
    t.match(key, /^lk1:/)
    t.equal((await client.pttl(key)) > 0, key !== feedKey, key)
  }
})

test("F30: the end of a user's last session leaves no key of the user", async (t) => {
  const { client, sessions } = await openRedisStore(t)
  const sub = newUserId()
  await signIns(sessions, sub, 3)

  await sessions.revokeAll(sub)

  await eventually(async () => (await client.exists(feedRetentionKey)) === 1)
  t.strictSame((await client.keys('*')).sort(), [epochKey, feedKey, feedRetentionKey])
})

test('the keys of a user share a slot, and every script touches one slot', async (t) => {
  const server = await startRedis({ busPort: await freePort() })
  t.teardown(() => server.stop())
  const client = connectRedis({ mode: 'single', urls: [server.url] }, () => {}) as Redis
  t.teardown(() => client.disconnect())
  await eventually(async () => client.status === 'ready')
  // A cluster of one node also refuses keys of several slots.
  await client.cluster('ADDSLOTSRANGE', 0, 16383)
  await eventually(async () => String(await client.cluster('INFO')).includes('cluster_state:ok'))
  const sessions = createRedisSessions(client, { ...limits, sessionsPerUser: 2 })
  t.teardown(() => sessions.close())
  const sub = newUserId()

  const [first, second, third] = (await signIns(sessions, sub, 3)) as [string, string, string]
  t.match(await presentGeneration(sessions, sub, first, 0), { outcome: 'rotated' })
  t.equal((await sessions.list(sub)).length, 3)
  t.strictSame(await sessions.revoke(sub, [first]), [first])
  t.strictSame((await sessions.revokeAll(sub)).sort(), [second, third].sort())
  await nextHeartbeat(client)

  const slots = [sessionIndexKey(sub), sessionKey(sub, first), sessionKey(sub, second)]
  t.equal(new Set(await Promise.all(slots.map((key) => client.cluster('KEYSLOT', key)))).size, 1)
})

test('a user may end more sessions than Lua takes arguments', async (t) => {
  const { client, url, sessions } = await openRedisStore(t, { sessionsPerUser: 10_000 })
  const sub = newUserId()
  const sids = Array.from({ length: 5000 }, () => newSession(sub).sid)
  const patient = new Redis(url)
  t.teardown(() => patient.disconnect())
  const pipeline = patient.pipeline()
  for (const sid of sids) {
    pipeline.hset(sessionKey(sub, sid), 'g', 0, 'un', 'ada').zadd(sessionIndexKey(sub), Date.now() + 60_000, sid)
  }
  await pipeline.exec()

  const ended = await sessions.revokeAll(sub)

  t.equal(new Set(ended).size, 5000)
  t.strictSame(new Set((await told(client)).flatMap((fields) => fields.filter((_, i) => i % 2))), new Set(sids))
  t.strictSame(await client.keys('lk1:{*'), [])
})

test('a stored revocation time that is not a number covers no token, and the next revocation replaces it', async (t) => {
  const { client, sessions } = await openRedisStore(t)
  const now = secondsNow()
  for (const value of ['', 'x', 'NaN', '-1', '99999999999999999999', 'Infinity']) {
    await client.set(clientRevocationKey('backend'), value)
    t.equal(await sessions.revokeClient('backend', now), true, value)
    t.equal(await sessions.clientNotBefore('backend'), now)
  }
  t.equal((await told(client)).length, 6)
})

test('without Redis each call fails with Unavailable, and none hangs', async (t) => {
  const { client, sessions } = await openRedisStore(t)
  const sub = newUserId()
  client.disconnect()

  for (const question of [
    () => sessions.create(newSession(sub)),
    () => presentGeneration(sessions, sub, 'x', 0),
    () => sessions.findUsername(sub, 'x'),
    () => sessions.list(sub),
    () => sessions.revoke(sub, ['x']),
    () => sessions.revokeAll(sub),
    () => sessions.ping(),
  ]) {
    await t.rejects(resultOrLate(question() as Promise<unknown>, 2000), { name: 'Unavailable', dependency: 'redis' })
  }
})

const limits = { refreshTtl: 60_000, sessionMaxAge: 0, refreshGrace: 30_000, sessionsPerUser: 100, accessTtl: 60_000 }

async function signIns(sessions: SessionStore, sub: string, count: number): Promise<string[]> {
  return Promise.all(Array.from({ length: count }, async () => (await sessions.create(newSession(sub))).session.sid))
}

/** The entries of the feed without the heartbeats. */
async function told(client: Redis): Promise<string[][]> {
  const entries = (await client.xrange(feedKey, '-', '+')).map(([, fields]) => fields)
  return entries.filter(([name]) => name !== 'hb')
}

/** Waits for the next heartbeat. */
async function nextHeartbeat(client: Redis): Promise<void> {
  await client.del(feedKey)
  await eventually(async () => (await client.exists(feedKey)) === 1)
}
