import { epochKey } from '@latchkey/verifier/redis-keys'
import { Cluster, Redis } from 'ioredis'
import { test } from 'tap'
import { eventually, untilNextSecond } from '../support/eventually.js'
import { freePort } from '../support/servers/ports.js'
import { startRedis } from '../support/servers/redis.js'
import { startTcpProxy } from '../support/servers/tcp-proxy.js'
import {
  ageEpoch,
  countCommand,
  redisClient,
  resultOrLate,
  seedFeed,
  startServiceOn,
  startVerifier,
  startVerifierSetup,
  verdict,
  verdictOnce,
} from '../support/verifier-setup.js'

test('a look-up is one EXISTS, and a revocation counts from its acknowledgement', async (t) => {
  const { redis, admin, service, signIn } = await startVerifierSetup(t)
  const { access_token } = await signIn()
  const verifier = await startVerifier(t, { mode: 'lookup', redis: redis.url })

  const before = await countCommand(admin, 'exists')
  await Promise.all(Array.from({ length: 100 }, () => verifier.verify(access_token)))
  t.equal((await countCommand(admin, 'exists')) - before, 100)

  await service.api.logout(access_token)
  t.equal(await verdict(verifier, access_token), 'revoked')
})

test('without Redis tokens are refused at once, after an empty restart too, and then the verifier recovers', async (t) => {
  const { redis, service, signIn } = await startVerifierSetup(t)
  const { access_token } = await signIn()
  const verifier = await startVerifier(t, { mode: 'lookup', redis: redis.url })

  await redis.stop()
  await eventually(async () => (await verdictOnce(verifier, access_token)) === 'unavailable')
  const again = await startRedis({ port: redis.port })
  t.teardown(() => again.stop())
  await eventually(async () => (await verdict(verifier, access_token)) === 'revoked')
  await eventually(async () => (await service.api.signUp('after', 'correct horse battery staple')).status === 201)
  const fresh = await service.api.tokens('after', 'correct horse battery staple')
  t.equal(await verdict(verifier, fresh.access_token), 'good')
})

test('F6: after Redis is emptied, the older tokens of a client are refused', async (t) => {
  const { redis, admin, service } = await startVerifierSetup(t)
  const { id: client_id, secret: client_secret } = service.api.client
  const form = { grant_type: 'client_credentials', client_id, client_secret }
  const token = (await service.api.call('/token', { form })).body.access_token
  const verifier = await startVerifier(t, { mode: 'lookup', redis: redis.url })
  t.equal(await verdict(verifier, token), 'good')
  await service.api.call('/revoke', { form: { token } })

  // A token of the second in which Redis was emptied counts as newer.
  await untilNextSecond()
  await admin.flushall()
  t.equal(await service.api.isActive(token), false, 'the service refuses the token too')
  t.equal(await verdict(verifier, token), 'revoked')
  await service.close()
  await admin.flushall()
  t.equal(await verdictOnce(verifier, token), 'unavailable')
  await admin.set(epochKey, Math.floor(Date.now() / 1000) + 1)
  t.equal(await verdict(verifier, token), 'revoked')
})

test('F3: while Redis stalls, tokens are refused within the timeout; then the verifier recovers', async (t) => {
  const { redis, signIn } = await startVerifierSetup(t)
  const { access_token } = await signIn()
  const verifier = await startVerifier(t, { mode: 'lookup', redis: redis.url })

  redis.process.kill('SIGSTOP')
  t.teardown(() => redis.process.kill('SIGCONT'))
  const verdicts = new Set<unknown>()
  const end = performance.now() + 2500
  await eventually(async () => {
    verdicts.add(await resultOrLate(verdictOnce(verifier, access_token), 400))
    return performance.now() > end
  })
  t.strictSame([...verdicts], ['unavailable'])
  redis.process.kill('SIGCONT')
  await eventually(async () => (await verdict(verifier, access_token)) === 'good')
})

test('F14: a half-open connection is replaced', async (t) => {
  const { redis, signIn } = await startVerifierSetup(t)
  const { access_token } = await signIn()
  const wire = await startTcpProxy(redis.port)
  t.teardown(() => wire.stop())
  const verifier = await startVerifier(t, { mode: 'lookup', redis: `redis://127.0.0.1:${wire.port}` })

  wire.blackhole()
  wire.restore()
  t.equal(await verdictOnce(verifier, access_token), 'unavailable')
  await eventually(async () => (await verdict(verifier, access_token)) === 'good')
})

test('a replica is not asked, because its data may be old', async (t) => {
  const { redis, admin } = await startVerifierSetup(t)
  await admin.config('SET', 'repl-diskless-sync-delay', 0)
  const replica = await startRedis({ args: ['--replicaof', `127.0.0.1 ${redis.port}`] })
  t.teardown(() => replica.stop())
  await t.rejects(startVerifier(t, { mode: 'lookup', redis: replica.url }), { message: /replica/ })
})

test('the documented minimal Redis permissions are enough for a verifier', async (t) => {
  const { redis, admin, service, signIn } = await startVerifierSetup(t)
  const { access_token } = await signIn()
  await admin.call('ACL', 'SETUSER', 'todo', 'on', '>pw', '~lk1:*', '+exists', '+get', '+xread', '+xrange', '+time')
  const url = `redis://todo:pw@127.0.0.1:${redis.port}`
  const [lookup, follow] = [
    await startVerifier(t, { mode: 'lookup', redis: url }),
    await startVerifier(t, { mode: 'follow', redis: url }),
  ]
  t.equal(await verdict(lookup, access_token), 'good')
  t.equal(await verdict(follow, access_token), 'good')
  await service.api.logout(access_token)
  await eventually(async () => (await verdict(follow, access_token)) === 'revoked')

  await admin.call('ACL', 'SETUSER', 'todo', '-exists')
  t.equal(await verdictOnce(lookup, access_token), 'unavailable')
})

test('a verifier uses only the address of a given client', async (t) => {
  const { redis, admin, signIn } = await startVerifierSetup(t)
  const { access_token } = await signIn()
  const theirs = new Redis(redis.url, { keyPrefix: 'todo:', stringNumbers: true, enableOfflineQueue: true })
  t.teardown(() => theirs.disconnect())
  for (const mode of ['lookup', 'follow'] as const) {
    const verifier = await startVerifier(t, { mode, redis: theirs })
    t.equal(await verdict(verifier, access_token), 'good')
    await verifier.close()
    t.equal(await verdictOnce(verifier, access_token), 'unavailable')
  }
  t.equal(await theirs.ping(), 'PONG')
  t.ok(await admin.ping())
})

test('a verifier looks up and follows a cluster through a given cluster client', async (t) => {
  const node = await startRedis({ busPort: await freePort(), args: ['--cluster-announce-ip', '127.0.0.1'] })
  t.teardown(() => node.stop())
  const setup = redisClient(t, node.url)
  await setup.call('CLUSTER', 'ADDSLOTSRANGE', 0, 16383)
  await eventually(async () => String(await setup.call('CLUSTER', 'INFO')).includes('cluster_state:ok'))
  await seedFeed(node.url)
  // The service's own client does not know clusters. It uses a cluster of one node as a single Redis.
  const { admin, service, signIn } = await startServiceOn(t, node)
  await ageEpoch(admin)
  const { access_token } = await signIn()
  const cluster = new Cluster([node.url])
  t.teardown(() => cluster.disconnect())

  const lookup = await startVerifier(t, { mode: 'lookup', redis: cluster })
  const follow = await startVerifier(t, { mode: 'follow', redis: cluster })
  t.equal(await verdict(lookup, access_token), 'good')
  const before = await countCommand(admin, 'exists')
  t.equal(await verdict(follow, access_token), 'good')
  t.equal(await countCommand(admin, 'exists'), before)

  await service.api.logout(access_token)
  t.equal(await verdict(lookup, access_token), 'revoked')
  await eventually(async () => (await verdict(follow, access_token)) === 'revoked')
  await node.stop()
  await eventually(async () => (await verdictOnce(lookup, access_token)) === 'unavailable')
  t.equal(await verdict(follow, access_token), 'revoked')
})
