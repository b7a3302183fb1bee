import { setTimeout as sleep } from 'node:timers/promises'
import { createVerifier } from '@latchkey/verifier'
import { epochKey, feedKey, sessionIndexKey, sessionKey } from '@latchkey/verifier/redis-keys'
import { Redis } from 'ioredis'
import t, { type Test, test } from 'tap'
import { createClient } from '../support/clients.js'
import { claimsOf } from '../support/decode.js'
import { countAcceptedLate, eventually } from '../support/eventually.js'
import { exchange } from '../support/exchange.js'
import { startRedis } from '../support/servers/redis.js'
import { startTcpProxy } from '../support/servers/tcp-proxy.js'
import { ISSUER, JWT_SECRET } from '../support/service.js'
import {
  countCommand,
  redisClient,
  seedFeed,
  startVerifier,
  startVerifierSetup,
  verdict,
  verdictOnce,
} from '../support/verifier-setup.js'

// The tests wait for staleness and timeouts, so they run side by side.
t.jobs = 3

test('a fresh follower accepts tokens without a query', { buffered: true }, async (t) => {
  const { redis, admin, signIn } = await startVerifierSetup(t)
  const { access_token } = await signIn()
  const verifier = await startVerifier(t, { mode: 'follow', redis: redis.url, maxStaleness: 10_000 })
  const asked = async () => (await countCommand(admin, 'exists')) + (await countCommand(admin, 'hget'))

  const before = await asked()
  for (let i = 0; i < 2000; i++) await verifier.verify(access_token)
  t.equal(await asked(), before)
})

test('time limits of the given client do not end the connection on which the follower waits for news', {
  buffered: true,
}, async (t) => {
  const { redis, admin } = await startVerifierSetup(t)
  // The verifier reads only its options.
  const client = new Redis(redis.url, { lazyConnect: true, commandTimeout: 50, socketTimeout: 50 })
  await startVerifier(t, { mode: 'follow', redis: client, maxStaleness: 10_000 })
  const connections = async () => Number(/total_connections_received:(\d+)/.exec(await admin.info('stats'))?.[1])
  const [before, reads] = [await connections(), await countCommand(admin, 'xread')]
  await eventually(async () => (await countCommand(admin, 'xread')) >= reads + 8)
  t.equal(await connections(), before)
})

test('each of ten followers hears of a revocation at once', { buffered: true }, async (t) => {
  const { redis, service, signIn } = await startVerifierSetup(t)
  const followers = await Promise.all(
    Array.from({ length: 10 }, () => startVerifier(t, { mode: 'follow', redis: redis.url })),
  )
  const { access_token } = await signIn()
  for (const follower of followers) t.equal(await verdict(follower, access_token), 'good')

  await service.api.logout(access_token)
  const all = async () => {
    const verdicts = await Promise.all(followers.map((follower) => verdict(follower, access_token)))
    return verdicts.every((answer) => answer === 'revoked')
  }
  // `npm run bench` measures the milliseconds.
  await eventually(all)
})

test('an exchanged token ends at each follower with the sign-out, within the bound of the own token, and names its actors', {
  buffered: true,
}, async (t) => {
  const { redis, service, signIn } = await startVerifierSetup(t, { AUDIENCE: `${ISSUER},todo` })
  const follower = createVerifier({
    issuer: ISSUER,
    audience: [ISSUER, 'todo'],
    keys: { secrets: [JWT_SECRET] },
    revocation: { mode: 'follow', redis: redis.url },
  })
  t.teardown(() => follower.close())
  await follower.ready()
  const gateway = await createClient(service.env, 'gateway', { exchangeAudiences: ['todo'] })
  const { access_token, sid } = await signIn()
  const { body } = await exchange(service.api, gateway, access_token, { audience: 'todo' })
  const claims = await follower.verify(body.access_token)
  t.match(claims, { aud: 'todo', sid, act: { sub: 'gateway' } })

  await service.api.logout(access_token)
  const both = async () => [await verdict(follower, access_token), await verdict(follower, body.access_token)]
  t.equal(await countAcceptedLate(async () => !(await both()).includes('good')), 0)
  await eventually(async () => (await both()).every((answer) => answer === 'revoked'))
})

test('a follower that starts later knows the earlier revocations', { buffered: true }, async (t) => {
  const { redis, admin, service, signIn } = await startVerifierSetup(t)
  const { access_token } = await signIn()
  await service.api.logout(access_token)

  const verifier = await startVerifier(t, { mode: 'follow', redis: redis.url })
  const before = await countCommand(admin, 'exists')
  t.equal(await verdict(verifier, access_token), 'revoked')
  t.equal(await countCommand(admin, 'exists'), before)
})

test('without heartbeats on a live Redis the follower asks Redis on every request', { buffered: true }, async (t) => {
  const { redis, admin, service, signIn } = await startVerifierSetup(t)
  const [one, other] = [await signIn(), await signIn()]
  const verifier = await startVerifier(t, { mode: 'follow', redis: redis.url, maxStaleness: 800 })
  t.equal(await verdict(verifier, one.access_token), 'good')

  await service.close()
  await eventually(async () => {
    const before = await countCommand(admin, 'exists')
    t.equal(await verdict(verifier, one.access_token), 'good')
    return (await countCommand(admin, 'exists')) === before + 1
  })
  // A revocation that is missing in the feed, as after a failover.
  await admin.del(sessionKey(claimsOf(other.access_token).sub, other.sid))
  t.equal(await verdict(verifier, other.access_token), 'revoked')
})

test('late heartbeats never make a follower fresh, however regular they are', { buffered: true }, async (t) => {
  const { redis, signIn } = await startVerifierSetup(t)
  const { access_token } = await signIn()
  const wire = await startTcpProxy(redis.port)
  t.teardown(() => wire.stop())
  wire.delay(400)
  const late = createVerifier({
    issuer: ISSUER,
    audience: ISSUER,
    keys: { secrets: [JWT_SECRET] },
    revocation: { mode: 'follow', redis: `redis://127.0.0.1:${wire.port}`, maxStaleness: 300 },
  })
  t.teardown(() => late.close())

  // Long enough for the follower to read the feed and many heartbeats.
  const deadline = Date.now() + 4000
  while (Date.now() < deadline) {
    // The follower must look the token up, and a look-up takes too long through this proxy.
    if ((await verdictOnce(late, access_token)) !== 'unavailable') t.fail('what came late was taken for news')
    await sleep(5)
  }
  // The same proxy with a delay below the limit.
  wire.delay(100)
  await eventually(async () => (await verdict(late, access_token)) === 'good')
})

test('a missing epoch, or one after the token, makes the follower look up', { buffered: true }, async (t) => {
  const { redis, admin, signIn } = await startVerifierSetup(t)
  const { access_token } = await signIn()
  const verifier = await startVerifier(t, { mode: 'follow', redis: redis.url, maxStaleness: 10_000 })
  const isLookedUp = async () => {
    const before = await countCommand(admin, 'exists')
    t.equal(await verdict(verifier, access_token), 'good')
    return (await countCommand(admin, 'exists')) > before
  }
  t.equal(await isLookedUp(), false)

  await admin.set(epochKey, Math.floor(Date.now() / 1000))
  await eventually(isLookedUp)
  await admin.set(epochKey, Math.floor(Date.now() / 1000) - 3600)
  await eventually(async () => !(await isLookedUp()))
  // The service would write the epoch again at once, so it loses the permission.
  await admin.call('ACL', 'SETUSER', 'default', '-set')
  await admin.del(epochKey)
  await eventually(isLookedUp)
})

test('without a feed, without Redis, or on a replica, a follower is not ready and says why', {
  buffered: true,
}, async (t) => {
  const empty = await startRedis()
  t.teardown(() => empty.stop())
  const replica = await startRedis({ args: ['--replicaof', `127.0.0.1 ${empty.port}`] })
  t.teardown(() => replica.stop())
  const gone = await startRedis()
  await gone.stop()
  const reasons = {
    [empty.url]: /no feed of revocations/,
    [replica.url]: /replica/,
    [gone.url]: /ECONNREFUSED|closed/,
  }
  await Promise.all(
    Object.entries(reasons).map(async ([redis, reason]) => t.match(await whyNotReady(t, redis), { message: reason })),
  )
  const admin = redisClient(t, empty.url)
  await seedFeed(empty.url)
  t.equal(await admin.exists(feedKey), 1)
  t.match(await whyNotReady(t, empty.url), { message: /written a heartbeat/ })
})

/** The last reason that a follower names when it gives up. On a busy machine this may be a timeout, and then another one tries. */
async function whyNotReady(t: Test, redis: string): Promise<unknown> {
  for (let tries = 1; ; tries += 1) {
    const reason = await startVerifier(t, { mode: 'follow', redis }).then(
      () => 'it is ready',
      (error: Error) => error,
    )
    if (tries === 5 || !String(reason).includes('no answer within')) return reason
  }
}

test('a follower that closes while entries arrive accepts nothing without a look-up afterwards', {
  buffered: true,
}, async (t) => {
  const { redis, admin, signIn } = await startVerifierSetup(t)
  const { access_token } = await signIn()
  const news = setInterval(() => admin.xadd(feedKey, '*', 'hb', 960_000, 'n', 'test').catch(() => {}), 1)
  t.teardown(() => clearInterval(news))
  for (let round = 0; round < 100; round++) {
    const verifier = await startVerifier(t, { mode: 'follow', redis: redis.url })
    await sleep(Math.random() * 10)
    await verifier.close()
    if ((await verdictOnce(verifier, access_token)) !== 'unavailable') t.fail(`round ${round}`)
  }
  t.pass('closed 100 times')
})

test('a sign-out of a user with thousands of sessions ends all of them at once', { buffered: true }, async (t) => {
  const { redis, admin, service, signIn } = await startVerifierSetup(t, { SESSIONS_PER_USER: '10000' })
  const { access_token, sid } = await signIn()
  const { sub } = claimsOf(access_token)
  const others = admin.pipeline()
  for (let i = 0; i < 9000; i++) {
    others.copy(sessionKey(sub, sid), sessionKey(sub, `other${i}`))
    others.zadd(sessionIndexKey(sub), Date.now() + 60_000, `other${i}`)
  }
  await others.exec()
  const verifier = await startVerifier(t, { mode: 'follow', redis: redis.url })

  t.equal((await service.api.call('/logout-all', { method: 'POST', bearer: access_token })).status, 204)
  await eventually(async () => (await verdict(verifier, access_token)) === 'revoked')
  t.equal(await admin.exists(sessionKey(sub, 'other8999')), 0)
})
