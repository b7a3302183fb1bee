import { setTimeout as sleep } from 'node:timers/promises'
import { feedKey } from '@latchkey/verifier/redis-keys'
import type { Redis } from 'ioredis'
import { test } from 'tap'
import { eventually } from '../support/eventually.js'
import { startRedis } from '../support/servers/redis.js'
import { startTcpProxy } from '../support/servers/tcp-proxy.js'
import {
  countCommand,
  recordCommands,
  redisClient,
  startVerifier,
  startVerifierSetup,
  verdict,
  writeHeartbeats,
} from '../support/verifier-setup.js'

const FROM_THE_START = `streams ${feedKey} 0-0`

/** Polls until a token is accepted without a look-up: the follower is fresh, and its memory covers the token. */
async function untilFresh(admin: Redis, isGood: () => Promise<boolean>): Promise<void> {
  await eventually(async () => {
    const before = await countCommand(admin, 'exists')
    return (await isGood()) && (await countCommand(admin, 'exists')) === before
  })
}

test('a follower continues where its connection was cut, and misses nothing', async (t) => {
  const { redis, admin, service, signIn } = await startVerifierSetup(t)
  const [missed, other] = [await signIn(), await signIn()]
  const wire = await startTcpProxy(redis.port)
  t.teardown(() => wire.stop())
  const verifier = await startVerifier(t, { mode: 'follow', redis: `redis://127.0.0.1:${wire.port}` })
  const isGood = async () => (await verdict(verifier, other.access_token)) === 'good'
  await untilFresh(admin, isGood)

  const commands = await recordCommands(admin)
  wire.cut()
  await service.api.logout(missed.access_token)
  await eventually(async () => (await verdict(verifier, other.access_token)) === 'unavailable')
  wire.restore()
  await untilFresh(admin, isGood)
  const before = await countCommand(admin, 'exists')
  t.equal(await verdict(verifier, missed.access_token), 'revoked')
  t.equal(await countCommand(admin, 'exists'), before, 'from memory')
  t.notOk(
    (await commands()).some((command) => command.includes(FROM_THE_START)),
    'the feed was not read again',
  )
})

test('a half-open connection is noticed and replaced', async (t) => {
  const { redis, admin, service, signIn } = await startVerifierSetup(t)
  const [one, other] = [await signIn(), await signIn()]
  const wire = await startTcpProxy(redis.port)
  t.teardown(() => wire.stop())
  const verifier = await startVerifier(t, { mode: 'follow', redis: `redis://127.0.0.1:${wire.port}` })

  wire.blackhole()
  wire.restore()
  await service.api.logout(one.access_token)
  await eventually(async () => (await verdict(verifier, one.access_token)) === 'revoked')
  await untilFresh(admin, async () => (await verdict(verifier, other.access_token)) === 'good')
})

test('entries that were trimmed before the follower returned are looked up', async (t) => {
  const { redis, admin, service, signIn } = await startVerifierSetup(t)
  const [missed, other] = [await signIn(), await signIn()]
  const wire = await startTcpProxy(redis.port)
  t.teardown(() => wire.stop())
  const verifier = await startVerifier(t, { mode: 'follow', redis: `redis://127.0.0.1:${wire.port}` })

  wire.cut()
  await service.api.logout(missed.access_token)
  await admin.xtrim(feedKey, 'MAXLEN', 0)
  await sleep(600)
  const commands = await recordCommands(admin)
  wire.restore()
  await eventually(async () => (await verdict(verifier, missed.access_token)) === 'revoked')
  await eventually(async () => (await commands()).some((command) => command.includes(FROM_THE_START)))
  // The follower is fresh, but the token is not covered. Only Redis knows the other trimmed entries.
  await sleep(500)
  const before = await countCommand(admin, 'exists')
  t.equal(await verdict(verifier, other.access_token), 'good')
  t.equal(await verdict(verifier, missed.access_token), 'revoked')
  t.equal(await countCommand(admin, 'exists'), before + 2)
})

for (const { name, idOf } of [
  { name: 'whose ids begin below ours', idOf: (last: number) => `${last - 5000}-0` },
  { name: 'in which our place is somebody else’s', idOf: (last: number, sequence: string) => `${last}-${sequence}` },
]) {
  test(`another feed ${name} is read from its start`, async (t) => {
    const { redis, admin, service, signIn } = await startVerifierSetup(t)
    const { access_token, sid } = await signIn()
    // From here on only this test writes the feed.
    await service.close()
    const verifier = await startVerifier(t, { mode: 'follow', redis: redis.url })
    t.equal(await verdict(verifier, access_token), 'good')

    const [[lastId] = ['']] = await admin.xrevrange(feedKey, '+', '-', 'COUNT', 1)
    const [time = '', sequence = ''] = lastId.split('-')
    await admin
      .multi()
      .del(feedKey)
      .xadd(feedKey, `${Number(time) - 6000}-0`, 'sid', sid)
      .xadd(feedKey, idOf(Number(time), sequence), 'hb', '960000', 'n', 'another')
      .exec()
    writeHeartbeats(t, admin)
    // The key still exists. Only a follower that read the whole feed can know the revocation.
    await eventually(async () => (await verdict(verifier, access_token)) === 'revoked')
  })
}

test('after a failover to a replica that lacks a revocation no revoked token is accepted', async (t) => {
  const { redis, admin, service, signIn } = await startVerifierSetup(t)
  const [known, other] = [await signIn(), await signIn()]
  await admin.config('SET', 'repl-diskless-sync-delay', 0)
  const replica = await startRedis({ args: ['--replicaof', `127.0.0.1 ${redis.port}`] })
  t.teardown(() => replica.stop())
  const replicaAdmin = redisClient(t, replica.url)
  await eventually(async () => (await replicaAdmin.info('replication')).includes('master_link_status:up'))
  const wire = await startTcpProxy(redis.port)
  t.teardown(() => wire.stop())
  const verifier = await startVerifier(t, { mode: 'follow', redis: `redis://127.0.0.1:${wire.port}` })

  await replicaAdmin.replicaof('NO', 'ONE')
  await service.api.logout(known.access_token)
  await eventually(async () => (await verdict(verifier, known.access_token)) === 'revoked')
  wire.cut()
  wire.retarget(replica.port)
  writeHeartbeats(t, replicaAdmin)
  wire.restore()

  // On the replica both sessions are live.
  await eventually(async () => (await countCommand(replicaAdmin, 'xread')) > 3)
  const deadline = Date.now() + 1500
  while (Date.now() < deadline) {
    if ((await verdict(verifier, known.access_token)) !== 'revoked') t.fail('a known revocation was forgotten')
    await sleep(5)
  }
  await eventually(async () => (await verdict(verifier, other.access_token)) === 'good')
})

test('an entry older than the retention is forgotten; its token is then looked up, not accepted', async (t) => {
  const { redis, admin, service, signIn } = await startVerifierSetup(t)
  const { access_token, sid } = await signIn()
  await service.close()
  writeHeartbeats(t, admin, 1500)
  const verifier = await startVerifier(t, { mode: 'follow', redis: redis.url })
  // The key of the session stays, which shows where the answer comes from.
  await admin.xadd(feedKey, '*', 'sid', sid)
  await eventually(async () => (await verdict(verifier, access_token)) === 'revoked')

  await eventually(async () => (await verdict(verifier, access_token)) === 'good')
  const before = await countCommand(admin, 'exists')
  t.equal(await verdict(verifier, access_token), 'good')
  t.equal(await countCommand(admin, 'exists'), before + 1)
})
