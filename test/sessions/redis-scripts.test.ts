import { readFileSync } from 'node:fs'
import { sessionIndexKey, sessionKey } from '@latchkey/verifier/redis-keys'
import type { Redis } from 'ioredis'
import { type Test, test } from 'tap'
import { newUserId, openRedisStore } from '../support/stores.js'

const TTL = 60_000
const GRACE = 30_000
const RETENTION = 'lk1:retention:test'

/** Runs a script from the folder of the store. */
async function open(t: Test) {
  const { client } = await openRedisStore(t)
  const run = (name: string, keys: string[], ...args: (string | number)[]) => {
    const lua = readFileSync(new URL(`../../src/sessions/redis/${name}.lua`, import.meta.url), 'utf8')
    return client.eval(lua, keys.length, ...keys, ...args) as Promise<unknown>
  }
  const sub = newUserId()
  const session = sessionKey(sub, 'A')
  const index = sessionIndexKey(sub)
  const create = (sid: string, { maxAge = 0, limit = 100 } = {}) =>
    run(
      'create',
      [sessionKey(sub, sid), index],
      sessionKey(sub, ''),
      sid,
      TTL,
      maxAge,
      limit,
      'un',
      'ada',
      'c',
      CLIENT,
    ) as Promise<[number, number, ...string[]]>
  const rotateAll = (...asked: [sid: string, generation: number, client: string][]) =>
    run(
      'rotate',
      asked.flatMap(([sid]) => [sessionKey(sub, sid), index]),
      GRACE,
      TTL,
      'latchkey',
      ...asked.flat(),
    ) as Promise<[string, ...unknown[]][]>
  const rotate = async (generation: number, sid = 'A', client = CLIENT) =>
    (await rotateAll([sid, generation, client]))[0] as [string, ...unknown[]]
  return { client, run, sub, session, index, create, rotate, rotateAll }
}

const CLIENT = 'todo'

test('create: returns the current time and the end of the session, on the clock of Redis', async (t) => {
  const { client, session, index, create } = await open(t)
  const before = await redisTime(client)

  const [now, expires, ...excess] = await create('A')

  t.ok(now >= before && now <= (await redisTime(client)))
  t.equal(expires, now + TTL)
  t.strictSame(excess, [])
  t.strictSame(await client.hgetall(session), {
    g: '0',
    r: String(now),
    n: String(now),
    un: 'ada',
    c: CLIENT,
  })
  t.equal(await client.pexpiretime(session), expires)
  t.equal(await client.pexpiretime(index), expires)
  t.equal(await client.zscore(index, 'A'), String(expires))
})

test('create: the maximum age bounds the end, and is stored for the rotations', async (t) => {
  const { client, session, create } = await open(t)

  const [now, expires] = await create('A', { maxAge: 30_000 })

  t.equal(expires, now + 30_000)
  t.equal(await client.hget(session, 'e'), String(expires))
})

test('create: the index lives as long as its longest session, and drops expired sessions', async (t) => {
  const { client, index, create } = await open(t)
  const [now, expires] = await create('A')
  await client.zadd(index, now - 1, 'GONE')

  await create('B', { maxAge: 1000 })

  t.equal(await client.pexpiretime(index), expires)
  t.strictSame((await client.zrange(index, '0', '-1')).sort(), ['A', 'B'])
})

test('create: past the limit it returns the longest unused sessions, oldest first, and ends none', async (t) => {
  const { client, sub, create } = await open(t)
  for (const [sid, used] of [
    ['A', 3000],
    ['B', 1000],
    ['C', 2000],
  ] as const) {
    await create(sid)
    await client.hset(sessionKey(sub, sid), 'r', used)
  }

  t.strictSame((await create('D', { limit: 4 })).slice(2), [])
  t.strictSame((await create('E', { limit: 4 })).slice(2), ['B'])
  t.strictSame((await create('F', { limit: 3 })).slice(2), ['B', 'C', 'A'])
  t.strictSame(new Set((await create('G', { limit: 1 })).slice(2)), new Set(['A', 'B', 'C', 'D', 'E', 'F']))
  for (const sid of 'ABCDEFG') t.equal(await client.exists(sessionKey(sub, sid)), 1)
})

test('create: of sessions of the same millisecond it returns the same ones each time', async (t) => {
  const { client, sub, create } = await open(t)
  const named: string[][] = []
  for (const sid of 'EBDAC') {
    named.push((await create(sid, { limit: 2 })).slice(2) as string[])
    await client.hset(sessionKey(sub, sid), 'r', 1000)
  }

  t.strictSame(named, [[], [], ['B'], ['B', 'D'], ['A', 'B', 'D']])
})

test('create: an index entry without a session is the first to go', async (t) => {
  const { client, sub, create } = await open(t)
  await create('A')
  await create('B')
  await client.del(sessionKey(sub, 'B'))

  t.strictSame((await create('C', { limit: 2 })).slice(2), ['B'])
})

test('rotate: returns unknown for a missing session, and creates nothing', async (t) => {
  const { client, session, index, rotate } = await open(t)

  t.strictSame(await rotate(0), ['unknown'])
  t.equal(await client.exists(session, index), 0)
})

test('rotate: returns rotated, and extends the session and the index from now', async (t) => {
  const { client, session, index, create, rotate } = await open(t)
  const [created] = await create('A')
  await client.pexpire(session, 5000)
  await client.pexpire(index, 5000)

  const [outcome, now, expires, ...rest] = await rotate(0)

  t.equal(outcome, 'rotated')
  t.equal(expires, (now as number) + TTL)
  t.strictSame(rest, [now, created, 'pwd', CLIENT, '', '', ''])
  t.strictSame(await client.hgetall(session), { g: '1', r: String(now), n: String(created), un: 'ada', c: CLIENT })
  t.equal(await client.pexpiretime(session), expires)
  t.equal(await client.pexpiretime(index), expires)
  t.equal(await client.zscore(index, 'A'), String(expires))
})

test('rotate: returns replayed within the grace, and changes nothing', async (t) => {
  const { client, session, index, create, rotate } = await open(t)
  const [created] = await create('A')
  await rotate(0)
  await client.hincrby(session, 'r', -(GRACE - 5000))
  const before = await state()

  const [outcome, now, expires, ...rest] = await rotate(0)

  t.equal(outcome, 'replayed')
  t.ok(Math.abs((now as number) - (await redisTime(client))) < 5000)
  t.equal(expires, await client.pexpiretime(session))
  t.strictSame(rest, [Number(await client.hget(session, 'r')), created, 'pwd', CLIENT, '', '', ''])
  t.strictSame(await state(), before)

  async function state() {
    return [
      await client.hgetall(session),
      await client.pexpiretime(session),
      await client.zrange(index, '0', '-1', 'WITHSCORES'),
      await client.pexpiretime(index),
    ]
  }
})

test('rotate: returns reused a millisecond past the grace, or two generations back, and changes nothing', async (t) => {
  const { client, session, create, rotate } = await open(t)
  await create('A')
  await rotate(0)
  await client.hincrby(session, 'r', -(GRACE + 1))
  const before = await client.hgetall(session)

  t.strictSame(await rotate(0), ['reused', 'unused'])
  t.strictSame(await client.hgetall(session), before)
  await rotate(1)
  t.strictSame(await rotate(0), ['reused', 'used'])
  t.equal((await rotate(1))[0], 'replayed')
})

test('rotate: a newer generation moves the session to itself, at any number', async (t) => {
  const { client, session, create, rotate } = await open(t)
  await create('A')

  t.equal((await rotate(2 ** 48 - 3))[0], 'rotated')
  t.equal(await client.hget(session, 'g'), String(2 ** 48 - 2))
  t.equal((await rotate(2 ** 48 - 3))[0], 'replayed')
  t.strictSame(await rotate(5), ['reused', 'used'])
})

test('rotate: returns unknown to another client, and changes nothing', async (t) => {
  const { client, session, create, rotate } = await open(t)
  await create('A')
  const before = await client.hgetall(session)

  t.strictSame(await rotate(0, 'A', 'another'), ['unknown'])
  t.strictSame(await client.hgetall(session), before)
  t.equal((await rotate(0))[0], 'rotated')
})

test('rotate: one of 50 simultaneous calls rotates', async (t) => {
  const { create, rotate } = await open(t)
  await create('A')

  const outcomes = (await Promise.all(Array.from({ length: 50 }, () => rotate(0)))).map(([outcome]) => outcome)

  t.strictSame(outcomes.sort(), [...Array(49).fill('replayed'), 'rotated'])
})

test('rotate: returns one outcome for each of several sessions, in order; a repeated session rotates once', async (t) => {
  const { client, sub, create, rotateAll } = await open(t)
  await create('A')
  await create('B')
  await client.hset(sessionKey(sub, 'B'), 'g', 7)

  const answers = await rotateAll(
    ['A', 0, CLIENT],
    ['X', 0, CLIENT],
    ['B', 2, CLIENT],
    ['A', 0, CLIENT],
    ['A', 0, 'another'],
  )

  t.strictSame(
    answers.map(([outcome]) => outcome),
    ['rotated', 'unknown', 'reused', 'replayed', 'unknown'],
  )
  t.equal(await client.hget(sessionKey(sub, 'A'), 'g'), '1')
  t.equal(await client.hget(sessionKey(sub, 'B'), 'g'), '7')
})

test('revoke-sessions: returns the sessions that were live, and leaves the others', async (t) => {
  const { client, run, sub, session, index, create } = await open(t)
  await create('A')
  await create('B')
  const revoke = (...sids: string[]) =>
    run('revoke-sessions', [index, ...sids.map((sid) => sessionKey(sub, sid))], ...sids)

  t.strictSame(await revoke('X'), [])
  t.strictSame(await revoke('X', 'A'), ['A'])
  t.strictSame(await revoke('A'), [])
  t.equal(await client.exists(session), 0)
  t.strictSame(await client.zrange(index, '0', '-1'), ['B'])
})

test('publish-revocation: returns the id of the entry, which has the given fields', async (t) => {
  const { client, run } = await open(t)

  const id = (await run('publish-revocation', ['lk1:feed:test', RETENTION], 60_000, 'sid', 'A', 'sid', 'B')) as string

  t.strictSame(await client.xrange('lk1:feed:test', '-', '+'), [[id, ['sid', 'A', 'sid', 'B']]])
})

test('publish-revocation, heartbeat: trim entries past the retention, by the clock of Redis', async (t) => {
  const { client, run } = await open(t)
  const feed = 'lk1:feed:test'
  const now = await redisTime(client)
  const fill = async () => {
    await client.del(feed)
    for (let i = 0; i < 500; i += 1) await client.xadd(feed, `${now - 100_000 + i}-0`, 'sid', `OLD${i}`)
    await client.xadd(feed, `${now - 50_000}-0`, 'sid', 'YOUNG')
  }

  for (const [script, ...args] of [
    ['publish-revocation', 60_000, 'sid', 'NEW'],
    ['heartbeat', 250, 60_000, 'a-word'],
  ] as const) {
    await fill()
    await run(script, [feed, RETENTION], ...args)
    const left = (await client.xrange(feed, '-', '+')).map(([, [, sid]]) => sid)
    // Redis drops whole nodes of a hundred entries.
    t.ok(left.length <= 102, `${script}: ${left.length} are left`)
    t.ok(left.includes('YOUNG'))
  }
})

test('publish-revocation, heartbeat: keep entries for the longest retention of all instances', async (t) => {
  const { client, run } = await open(t)
  const feed = 'lk1:feed:test'
  const now = await redisTime(client)
  for (const [script, ...args] of [
    ['publish-revocation', 60_000, 'sid', 'NEW'],
    ['heartbeat', 250, 60_000, 'a-word'],
  ] as const) {
    await client.del(feed)
    await client.zadd(RETENTION, now - 1, 300_000, now + 60_000, 200_000, now + 70_000, 100)
    for (let i = 0; i < 500; i += 1) await client.xadd(feed, `${now - 100_000 + i}-0`, 'sid', `OLD${i}`)
    await run(script, [feed, RETENTION], ...args)
    t.equal(await client.xlen(feed), 501, script)
    t.equal(await client.zscore(RETENTION, 200_000), String(now + 60_000), 'a shorter need does not prolong it')
  }
  t.match((await client.xrevrange(feed, '+', '-', 'COUNT', 1))[0]?.[1], ['hb', '200000'])
})

test('heartbeat: stores the retention of its instance, also after another heartbeat, and again before it expires', async (t) => {
  const { client, run } = await open(t)
  const feed = 'lk1:feed:test'
  const heartbeat = (kept: number) => run('heartbeat', [feed, RETENTION], 60_000, kept, 'a-word')
  /** How many more seconds each retention is needed, rounded up to tens, because a slow machine asks late. */
  const noted = async () => {
    const now = await redisTime(client)
    const all = await client.zrange(RETENTION, '0', '-1', 'WITHSCORES')
    const left = (until: string | undefined) => Math.ceil((Number(until) - now) / 10_000) * 10
    return Object.fromEntries(all.flatMap((kept, i) => (i % 2 === 0 ? [[kept, left(all[i + 1])]] : [])))
  }

  t.equal(await heartbeat(60_000), 1)
  t.match(await noted(), { 60000: 60 })
  t.equal(await heartbeat(100_000), 0)
  t.match(await noted(), { 60000: Number, 100000: 100 })
  t.ok((await client.pttl(RETENTION)) > 95_000, 'it goes when the last is over')
  const until = (await redisTime(client)) + 95_000
  await client.zadd(RETENTION, until, 100_000, until - 200_000, 7000)
  await heartbeat(100_000)
  t.equal(await client.zscore(RETENTION, 100_000), String(until), 'not with each heartbeat')
  await client.zadd(RETENTION, until - 10_000, 100_000)
  await heartbeat(60_000)
  t.equal(await client.zscore(RETENTION, 100_000), String(until - 10_000))
  await heartbeat(100_000)
  t.match(await noted(), { 100000: 100 })
  t.equal(await client.zscore(RETENTION, 7000), null, 'what is over is forgotten')
})

test('revoke-client: returns the time in force, and keeps it for the life of a token', async (t) => {
  const { client, run } = await open(t)
  const key = 'lk1:{backend}:n'
  const now = Math.floor((await redisTime(client)) / 1000)
  const keptFrom = async () => Math.round(((await client.pexpiretime(key)) - 1_000_000) / 1000)

  t.equal(await run('revoke-client', [key], now - 3600, 1_000_000), now - 3600)
  t.ok(Math.abs((await keptFrom()) - now) <= 5, 'from now')
  t.equal(await run('revoke-client', [key], now + 600, 1_000_000), now + 600)
  t.equal(await keptFrom(), now + 600, 'from the time of issue, where that is ahead')
  t.equal(await run('revoke-client', [key], now, 1_000_000), now + 600, 'never an earlier one')
  t.equal(await client.get(key), String(now + 600))
})

test('heartbeat: returns 1 after a silent interval, and 0 when another instance wrote within it', async (t) => {
  const { client, run } = await open(t)
  const feed = 'lk1:feed:test'
  const heartbeat = (interval: number) => run('heartbeat', [feed, RETENTION], interval, 60_000, 'a-word')

  t.equal(await heartbeat(60_000), 1)
  t.equal(await heartbeat(60_000), 0)
  await client.del(feed)
  await client.xadd(feed, '*', 'sid', 'A')
  t.equal(await heartbeat(60_000), 0)
  await client.del(feed)
  await client.xadd(feed, `${(await redisTime(client)) - 1000}-0`, 'hb', '1')
  t.equal(await heartbeat(900), 1)
  t.strictSame((await client.xrange(feed, '-', '+')).at(-1)?.[1], ['hb', '60000', 'n', 'a-word'])
})

test('epoch: returns 1 when it sets the epoch, and afterwards 0 without a change', async (t) => {
  const { client, run } = await open(t)
  const key = 'lk1:epoch:test'
  const before = Math.floor((await redisTime(client)) / 1000)

  t.equal(await run('epoch', [key], 60), 1)
  const noted = Number(await client.get(key))
  t.ok(noted >= before && noted <= before + 5)
  t.ok((await client.ttl(key)) > 50)
  await client.set(key, '12345')
  t.equal(await run('epoch', [key], 60), 0)
  t.equal(await client.get(key), '12345')
})

async function redisTime(client: Redis): Promise<number> {
  const [seconds, micros] = (await client.time()).map(Number) as [number, number]
  return seconds * 1000 + Math.floor(micros / 1000)
}

test('use-once: returns 1 for the first use, and 0 for the next and after the deadline', async (t) => {
  const { client, run } = await open(t)
  const now = await redisTime(client)

  t.equal(await run('use-once', ['lk1:{a}:o'], now + 5000, 60_000), 1)
  t.equal(await run('use-once', ['lk1:{a}:o'], now + 5000, 60_000), 0)
  t.equal(await client.pexpiretime('lk1:{a}:o'), now + 65_000, 'the record stays for a while after the deadline')
  t.equal(await run('use-once', ['lk1:{b}:o'], now - 1, 60_000), 0)
  t.equal(await client.exists('lk1:{b}:o'), 0)
})
