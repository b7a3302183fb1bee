import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { type Test, test } from 'tap'
import type { Api } from '../api.js'
import { type RedisServer, startRedis } from '../servers/redis.js'
import { startReplica, startSentinels } from '../servers/redis-sentinel.js'
import { startTcpProxy } from '../servers/tcp-proxy.js'
import { environment, PASSWORD, startService, startServiceWith } from '../service.js'
import { until } from '../verifier/setting.js'
import { Ledger, signUpLanes, startLoad } from './load.js'

/** How often a primary is lost; the full size is 50. */
const FAILOVERS = Number(process.env.LATCHKEY_TEST_FAILOVERS ?? 1)
const LANES = 4

/** With no replica that is waited for, how many are lost is a figure for docs/operate.md, and no promise. */
for (const replicas of process.env.LATCHKEY_TEST_FAILOVERS ? ['1', '0'] : ['1']) {
  test(`F5 an address that moves to a replica 20 ms behind, × ${FAILOVERS}, waiting for ${replicas}`, async (t) => {
    const sum = { revoked: 0, revived: 0 }
    for (let round = 0; round < FAILOVERS; round += 1) {
      const { revoked, revived } = await failOver(t, replicas)
      sum.revoked += revoked
      sum.revived += revived
    }
    t.comment(`${FAILOVERS} failovers: of ${sum.revoked} acknowledged revocations ${sum.revived} were lost`)
    t.ok(sum.revoked > 0)
    if (replicas === '1') t.equal(sum.revived, 0)
  })
}

/** Sign-outs one after the other; the primary is killed in their midst, and its replica takes its place. */
async function failOver(t: Test, replicas: string): Promise<{ revoked: number; revived: number }> {
  const primary = await startRedis({ args: ['--repl-diskless-sync-delay', '0'] })
  t.teardown(() => primary.stop())
  const link = await startTcpProxy(primary.port)
  t.teardown(() => link.stop())
  const replica = await startReplica(t, link)
  link.delay(20)
  const address = await startTcpProxy(primary.port)
  t.teardown(() => address.stop())
  const env = await environment(t, 'sqlite', {
    REDIS_URL: `redis://127.0.0.1:${address.port}`,
    REDIS_WAIT_REPLICAS: replicas,
  })
  const { api, close } = await startServiceWith(t, env)
  await until(async () => (await api.login('nobody', PASSWORD)).status === 401)
  await api.signUp('ada', PASSWORD)
  const all = await Promise.all(Array.from({ length: 12 }, () => api.tokens('ada', PASSWORD)))
  const revoked: string[] = []
  const sessions = [...all]
  let isOver = false
  const signOuts = [1, 2, 3].map(async () => {
    for (let one = sessions.pop(); one && !isOver; one = sessions.pop()) {
      const { status } = await api.logout(one.access_token)
      if (status === 204) revoked.push(one.access_token)
      if (status !== 204 && status !== 503) throw new Error(`sign-out answered ${status}`)
    }
  })
  await until(async () => revoked.length > 4)
  await primary.stop()
  isOver = true
  await Promise.all(signOuts)

  const admin = new Redis(replica.url)
  await admin.replicaof('NO', 'ONE')
  admin.disconnect()
  address.retarget(replica.port)
  await until(async () => (await api.introspect('x.y.z')).status === 200)
  await until(async () => (await api.login('ada', PASSWORD)).status === 200)
  let revived = 0
  for (const token of revoked) if (await api.isActive(token)) revived += 1
  await close()
  return { revoked: revoked.length, revived }
}

test(`F5 F9 sentinels replace the primary under load, × ${FAILOVERS}: killed, stalled or told to step down`, async (t) => {
  const setting = await startSentinels(t)
  const service = await startService(t, 'sqlite', { ...setting.environment, REDIS_WAIT_REPLICAS: '1' })
  await signUpLanes(service.api, LANES)
  const next = (): Api => service.api
  const ledger = new Ledger()
  const load = startLoad({ next, ledger, lanes: LANES, isDurable: false })
  let revived = 0
  let slowest = 0
  for (let round = 0; round < FAILOVERS; round += 1) {
    await sleep(500)
    const old = await setting.primary()
    const way = (['killed', 'stalled', 'told'] as const)[round % 3]
    if (way === 'killed') await old.stop()
    else if (way === 'stalled') old.process.kill('SIGSTOP')
    else await tellToStepDown(setting.sentinels[0] as RedisServer)
    const primary = await setting.untilReplaced(old)
    const back = until(async () => (await next().login('ada-0', PASSWORD)).status === 200, 20_000)
    slowest = Math.max(
      slowest,
      await back.catch(async (error) => {
        t.comment(`${way}, round ${round}: ${JSON.stringify(service.log.slice(-6))}`)
        throw error
      }),
    )
    await sleep(300)
    revived += await ledger.countRevived(next)

    if (way === 'stalled') old.process.kill('SIGCONT')
    if (way === 'killed') await setting.restart(old, primary)
    await setting.untilHealthy()
  }
  await load.stop()
  revived += await ledger.countRevived(next, true)
  t.comment(
    `${FAILOVERS} failovers: ${ledger.ended.length} tokens of acknowledged revocations, ${revived} live; ` +
      `${ledger.answered} answers, ${ledger.failed} asked again; ${ledger.lost} sessions lost; ` +
      `back ${Math.round(slowest)} ms after the new primary at the latest`,
  )
  t.ok(ledger.ended.length > 0, 'there was something to lose')
  t.equal(revived, 0)
  t.strictSame(ledger.wrong, [])
  t.ok(slowest < 2000 + 1000, `back after ${slowest} ms`)
})

async function tellToStepDown(sentinel: RedisServer): Promise<void> {
  const admin = new Redis(sentinel.url)
  // Refused while the failover before is not quite over.
  await until(
    async () =>
      admin.call('SENTINEL', 'FAILOVER', 'latchkey').then(
        () => true,
        () => false,
      ),
    20_000,
  )
  admin.disconnect()
}
