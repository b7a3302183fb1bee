import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import t, { test } from 'tap'
import { type Api, basicAuthorization, type Tokens } from '../support/api.js'
import { eventually, untilItSucceeds } from '../support/eventually.js'
import { Feed, getRevocations } from '../support/feed.js'
import { copyDatabase } from '../support/older-copy.js'
import { scrape } from '../support/scrape.js'
import { startRedis } from '../support/servers/redis.js'
import { startReplica } from '../support/servers/redis-sentinel.js'
import { startTcpProxy } from '../support/servers/tcp-proxy.js'
import {
  type Environment,
  environment,
  PASSWORD,
  type Store,
  spawnService,
  startReady,
  startService,
  stores,
} from '../support/service.js'
import { isAll } from '../support/size.js'
import { scaledLimit } from '../support/time-limits.js'

/** This process and the service may each open so many files. */
const OPEN_FILES = Number(/Max open files\s+(\d+)/.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1])
/**
 * How many followers open a connection and leave, and how many keep theirs and never read an answer. The store reads once for
 * all of them, so one store meets the full number.
 */
const crowdOf = (store: Store) =>
  isAll && store === 'redis'
    ? { followers: 10_000, silent: Math.min(10_000, OPEN_FILES - 1000) }
    : { followers: 1000, silent: 200 }
/** Megabytes that the service may take: garbage, and for each silent connection with three requests some 20 KB. */
const memoryFor = (silent: number) => 96 + (silent * 24) / 1024
const STOPS = isAll ? 10 : 3
/** Milliseconds for an answer while a store stalls: the limit of the service, and what a busy machine adds. */
const LIMIT = 300 + 300

t.jobs = 2

async function signOut(api: Api): Promise<string> {
  const { access_token: token, sid } = await api.tokens('ada', PASSWORD)
  const { status } = await api.logout(token)
  if (status !== 204) throw new Error(`sign-out answered ${status}`)
  return sid
}

/** Reads until an answer comes. */
const readOn = (feed: Feed, api?: Api) => untilItSucceeds(() => feed.read(0, api))

test('S4 F6: an emptied Redis has a feed with another name and a later epoch, and loses nothing after that', async (t) => {
  const { api, env } = await startService(t, 'redis')
  await api.signUp('ada', PASSWORD)
  const feed = await new Feed(api).readAll()
  await signOut(api)
  await feed.readAll()
  const { feed: name, epoch } = feed
  // An epoch has whole seconds.
  await eventually(() => Date.now() / 1000 > epoch + 1)
  const admin = new Redis(env.REDIS_URL as string)
  await admin.flushall()
  admin.disconnect()

  await readOn(feed)

  t.equal(feed.losses, 1, 'the first answer after that begins again')
  t.equal(feed.freshUntil, Number.NEGATIVE_INFINITY, 'and is not fresh')
  await eventually(async () => (await api.login('ada', PASSWORD)).status === 200)
  const sid = await signOut(api)
  await feed.readAll()
  t.not(feed.feed, name)
  t.ok(feed.epoch > epoch, 'tokens from before are not vouched for')
  t.equal(feed.sids.at(-1), sid)
})

test('S4 a Redis that failed over to a replica which was behind has a feed with another name', async (t) => {
  const primary = await startRedis({ args: ['--repl-diskless-sync-delay', '0'] })
  t.teardown(() => primary.stop())
  const link = await startTcpProxy(primary.port)
  t.teardown(() => link.stop())
  const replica = await startReplica(t, link)
  const address = await startTcpProxy(primary.port)
  t.teardown(() => address.stop())
  const { api } = await startService(t, 'sqlite', { REDIS_URL: `redis://127.0.0.1:${address.port}` })
  await api.signUp('ada', PASSWORD)
  const early = await signOut(api)
  const feed = await new Feed(api).readAll()
  await eventually(async () => {
    const inReplica = new Redis(replica.url)
    const [newest] = await inReplica.xrevrange('lk1:feed', '+', '-', 'COUNT', 1)
    inReplica.disconnect()
    return newest !== undefined && newest[0] > (feed.cursor as string)
  })
  link.blackhole()
  const lost = await signOut(api)
  await feed.readAll()
  t.equal(feed.sids.at(-1), lost)
  t.equal(feed.losses, 0)

  await primary.stop()
  const admin = new Redis(replica.url)
  await admin.replicaof('NO', 'ONE')
  admin.disconnect()
  address.retarget(replica.port)
  address.cut()
  address.restore()
  await readOn(feed)

  t.equal(feed.losses, 1)
  const fresh = new Feed(api)
  await untilItSucceeds(() => fresh.readAll())
  t.ok(fresh.sids.includes(early), 'the rest of the feed is there')
})

for (const store of ['sqlite', 'postgres'] as const) {
  test(`${store}: S4 a database that was restored from an older copy has a feed with another name`, async (t) => {
    const env = await environment(t, store)
    const before = await startReady(t, env)
    await before.api.signUp('ada', PASSWORD)
    const early = await signOut(before.api)
    await before.close()
    const copies = [await copyDatabase[store](t, env)]
    const during = await startReady(t, env)
    const feed = await new Feed(during.api).readAll()
    for (let i = 0; i < 3; i += 1) await signOut(during.api)
    await feed.readAll()
    await during.close()

    const { api } = await startReady(t, copies[0] as Environment)
    const behind = new Feed(api)
    Object.assign(behind, { feed: feed.feed, cursor: feed.cursor })
    await readOn(behind)
    t.equal(behind.losses, 1, 'the cursor is ahead of the store')
    // The restored database passes the position of the cursor.
    const later: string[] = []
    for (let i = 0; i < 4; i += 1) later.push(await signOut(api))
    const past = new Feed(api)
    Object.assign(past, { feed: feed.feed, cursor: feed.cursor })
    await readOn(past)
    t.equal(past.losses, 1, 'the entry with this position is another one')
    await past.readAll()
    t.strictSame(past.sids.filter((sid) => sid === early || later.includes(sid)).slice(-5), [early, ...later])
  })
}

for (const store of ['postgres', 'redis'] as const) {
  test(`${store}: S5 an instance that is stopped while it holds an answer back promises nothing about the time since`, {
    buffered: true,
  }, async (t) => {
    const env = await environment(t, store)
    const [stopped, other] = [await spawnService(t, env), await spawnService(t, env)]
    await other.api.signUp('ada', PASSWORD)
    const feed = await new Feed(stopped.api).readAll()
    let claims = 0
    for (let round = 0; round < STOPS; round += 1) {
      const held = feed.read(1000)
      await sleep(50 + Math.random() * 200)
      stopped.process.kill('SIGSTOP')
      const sid = await signOut(other.api)
      const acknowledged = performance.now()
      await sleep(1500)
      stopped.process.kill('SIGCONT')
      await held.catch(() => {})
      if (feed.freshUntil > acknowledged) {
        claims += 1
        t.ok(feed.sids.includes(sid), 'an answer that claims this moment has the revocation')
      }
      await untilItSucceeds(() => feed.readAll())
      t.ok(feed.sids.includes(sid))
    }
    t.comment(`${claims} of ${STOPS} held answers claimed the time after the stop`)
  })
}

test('F3 a stalled Redis: a held request gets 503 in time, and the feed continues afterwards', async (t) => {
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  const { api, once } = await startService(t, 'sqlite', { REDIS_URL: redis.url })
  await api.signUp('ada', PASSWORD)
  const feed = await new Feed(api).readAll()
  redis.process.kill('SIGSTOP')
  const began = performance.now()
  const answer = await getRevocations(once, { after: feed.cursor as string, wait: 1000 })
  redis.process.kill('SIGCONT')
  t.match(answer, { status: 503, headers: { 'retry-after': /\d/ } })
  t.ok(performance.now() - began < scaledLimit(LIMIT), `after ${performance.now() - began} ms`)
  await readOn(feed)
  await eventually(async () => (await api.login('ada', PASSWORD)).status === 200)
  const sid = await signOut(api)
  t.ok((await feed.readAll()).sids.includes(sid))
  t.equal(feed.losses, 0)
})

for (const store of stores) {
  const crowd = crowdOf(store)
  test(`${store}: S6 ${crowd.followers} followers that leave and ${crowd.silent} that never read cost little memory, and nobody else waits`, {
    // Two of these tests at the same time would open too many files.
    buffered: false,
  }, async (t) => {
    const service = await spawnService(t, await environment(t, store))
    const { api } = service
    await api.signUp('ada', PASSWORD)
    const { access_token: token } = await api.tokens('ada', PASSWORD)
    const feed = await new Feed(api).readAll()
    for (let i = 0; i < 1000; i += 1) await feed.read()
    const memory = () => {
      const status = readFileSync(`/proc/${service.process.pid}/status`, 'utf8')
      return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024
    }
    const before = memory()
    const request = [
      `GET /revocations?wait=1000&after=${feed.cursor} HTTP/1.1`,
      'Host: latchkey.test',
      `Authorization: ${basicAuthorization(api.client).authorization}`,
      '\r\n',
    ].join('\r\n')
    const port = Number(new URL(api.url).port)
    const open = (): Promise<Socket> =>
      new Promise((resolve) => {
        const socket = connect(port, '127.0.0.1', () => socket.write(request.repeat(3), () => resolve(socket)))
        socket.pause().on('error', () => resolve(socket))
      })
    const silent: Socket[] = []
    while (silent.length < crowd.silent) silent.push(...(await Promise.all(Array.from({ length: 200 }, open))))
    let slowest = 0
    for (let i = 0; i < crowd.followers; i += 100) {
      const leaving = await Promise.all(Array.from({ length: 100 }, open))
      const began = performance.now()
      t.equal(await api.isActive(token), true)
      slowest = Math.max(slowest, performance.now() - began)
      for (const socket of leaving) socket.destroy()
    }
    const sid = await signOut(api)
    await eventually(async () => (await feed.readAll()).sids.includes(sid))
    t.comment(
      `${before.toFixed(0)} MB before, ${memory().toFixed(0)} MB after; slowest introspection ${slowest.toFixed(0)} ms`,
    )
    t.ok(memory() - before < memoryFor(crowd.silent), `${memory() - before} MB more`)
    for (const socket of silent) socket.destroy()
  })
}

test('S6 S8 many answers that are held back end with the news, and do not delay the end of the service', async (t) => {
  const service = await spawnService(t, await environment(t, 'sqlite'))
  const { api } = service
  await api.signUp('ada', PASSWORD)
  const { access_token: token, sid }: Tokens = await api.tokens('ada', PASSWORD)
  const after = (await new Feed(api).readAll()).cursor as string
  // The agent of this test has 200 connections. The sign-out needs one.
  const COUNT = 150
  const follow = (cursor: string) => getRevocations(api, { after: cursor, wait: 1000 })
  const untilHeld = (least: number) =>
    eventually(async () => ((await scrape(service.managementUrl)).value('latchkey_followers_waiting') ?? 0) >= least)
  const untilNews = async () => {
    for (;;) {
      const answer = await follow(after)
      if (answer.status !== 200 || answer.body.revocations.length > 0) return answer
    }
  }
  const held = Array.from({ length: COUNT }, untilNews)
  await untilHeld(COUNT * 0.8)
  await api.logout(token)
  let cursor = ''
  for (const { status, body } of await Promise.all(held)) {
    t.equal(status, 200)
    t.strictSame(body.revocations, [{ sids: [sid] }])
    cursor = body.cursor
  }

  const last = Promise.allSettled(Array.from({ length: COUNT }, () => follow(cursor)))
  // On a busy machine some may have their answer before the last one is held.
  await Promise.race([untilHeld(COUNT), last])
  const began = performance.now()
  t.equal(await service.end('SIGTERM'), 0)
  t.ok(performance.now() - began < scaledLimit(800), `stopped after ${performance.now() - began} ms`)
  for (const result of await last) {
    t.match(result, { status: 'fulfilled', value: { status: 200 } })
    if (result.status === 'fulfilled') t.strictSame(result.value.body.revocations, [])
  }
})
