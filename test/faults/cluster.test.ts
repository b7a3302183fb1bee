import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { feedKey, sessionIndexKey } from '@latchkey/verifier/redis-keys'
import { Cluster, Command } from 'ioredis'
import { test } from 'tap'
import type { Api } from '../support/api.js'
import { eventually } from '../support/eventually.js'
import { countAccepted, Ledger, signUpLanes, startLoad, untilAccepted } from '../support/load.js'
import { type ClusterNode, startRedisCluster } from '../support/servers/redis-cluster.js'
import { PASSWORD, startService } from '../support/service.js'
import { scaledLimit } from '../support/time-limits.js'
import { startVerifier } from '../support/verifier-setup.js'

/** How often each used slot moves to the next primary. */
const MOVES = Number(process.env.LATCHKEY_TEST_MOVES ?? 2)
const LANES = 4

const slotOf = (key: string) => new Command('get', [key]).getSlot() as number

test(`F11: slots move under load, × ${MOVES}: no call fails, and no call gets a wrong answer`, async (t) => {
  const cluster = await startRedisCluster(t)
  const service = await startService(t, 'sqlite', { ...cluster.environment, REDIS_WAIT_REPLICAS: '1' })
  const next = (): Api => service.once
  await signUpLanes(next(), LANES)
  const ledger = new Ledger(t)
  const subs: string[] = []
  for (let lane = 0; lane < LANES; lane += 1) {
    const { access_token } = await next().tokens(`ada-${lane}`, PASSWORD)
    subs.push((await next().introspect(access_token)).body.sub)
  }
  const redis = new Cluster(cluster.nodes.map(({ port }) => ({ host: '127.0.0.1', port })))
  redis.on('error', () => {})
  t.teardown(() => redis.disconnect())
  const verifiers = await Promise.all([
    startVerifier(t, { mode: 'follow', redis }),
    startVerifier(t, { mode: 'lookup', redis }),
  ])
  const load = startLoad({ next, ledger, lanes: LANES })
  const owners = await cluster.primaries()
  const ownerOf = new Map<number, ClusterNode>()
  const keys = [feedKey, ...subs.map(sessionIndexKey)]
  for (const key of keys) ownerOf.set(slotOf(key), await cluster.ownerOf(key))
  for (let move = 0; move < MOVES; move += 1) {
    for (const slot of ownerOf.keys()) {
      const from = ownerOf.get(slot) as ClusterNode
      const to = owners[(owners.indexOf(from) + 1) % owners.length] as ClusterNode
      await cluster.moveSlot(slot, from, to)
      ownerOf.set(slot, to)
      await sleep(50)
    }
  }
  await load.stop()
  await sleep(1200)
  t.equal(await countAccepted(verifiers, ledger), 0, 'no verifier accepts one of them')
  await untilAccepted(t, next(), verifiers)
  const revived = await ledger.countRevived(next, true)
  t.comment(
    `${MOVES * ownerOf.size} moves of slots: ${ledger.answered} answers, ${ledger.failed} failed, ` +
      `${ledger.wrong.length} wrong; ${ledger.ended.length} tokens of acknowledged revocations, ${revived} live`,
  )
  t.equal(revived, 0)
  t.strictSame(ledger.wrong, [])
  // On a busy machine a call may exceed its timeout. A moved slot is never the reason.
  const reasons = service.log.filter(({ msg }) => msg === 'unavailable').map(({ reason }) => String(reason))
  t.strictSame(
    reasons.filter((reason) => !/timed out|too busy|replicas hold the change/.test(reason)),
    [],
  )
})

test('F5, F11: a primary of a cluster dies under load: no acknowledged revocation is lost, and the service recovers soon', async (t) => {
  const cluster = await startRedisCluster(t, 2)
  const service = await startService(t, 'sqlite', { ...cluster.environment, REDIS_WAIT_REPLICAS: '1' })
  const next = (): Api => service.once
  await signUpLanes(next(), LANES)
  const ledger = new Ledger(t)
  const redis = new Cluster(cluster.nodes.map(({ port }) => ({ host: '127.0.0.1', port })))
  redis.on('error', () => {})
  t.teardown(() => redis.disconnect())
  const verifiers = await Promise.all([
    startVerifier(t, { mode: 'follow', redis }),
    startVerifier(t, { mode: 'lookup', redis }),
  ])
  const load = startLoad({ next, ledger, lanes: LANES, isDurable: false })
  await eventually(() => ledger.ended.length > 10)
  // The primary with the feed: without the feed nobody can be signed out.
  const victim = await cluster.ownerOf(feedKey)
  await victim.stop()
  await eventually(async () => {
    const now = await cluster.ownerOf(feedKey).catch(() => victim)
    return now !== victim && String(await now.admin.cluster('INFO')).includes('cluster_state:ok')
  })
  const back = await eventually(async () => (await next().login('ada-0', PASSWORD)).status === 200)
  await sleep(500)
  await load.stop()
  await sleep(1200)
  t.equal(await countAccepted(verifiers, ledger), 0, 'no verifier accepts one of them')
  await untilAccepted(t, next(), verifiers)
  const revived = await ledger.countRevived(next, true)
  t.comment(
    `${ledger.answered} answers, ${ledger.failed} failed, ${ledger.wrong.length} wrong; ` +
      `${ledger.ended.length} tokens of acknowledged revocations, ${revived} live; ${ledger.lost} sessions lost; ` +
      `back ${Math.round(back)} ms after the new primary`,
  )
  t.equal(revived, 0)
  t.strictSame(ledger.wrong, [])
  t.ok(back < scaledLimit(3000), `back after ${back} ms`)
})

test('F11: a process that closes its client of a cluster during a refresh of the slots ends', async (t) => {
  const { nodes, environment } = await startRedisCluster(t, 0)
  const client = new URL('../../src/sessions/redis/client.js', import.meta.url)
  const script = `
    import { connectRedis } from '${client}'
    const client = connectRedis({ mode: 'cluster', urls: process.argv[1].split(',') }, () => {})
    client.once('ready', () => console.log('ready'))
    const timer = setInterval(() => {
      if (!client.isRefreshing || client.status !== 'ready') return
      clearInterval(timer)
      client.disconnect()
    }, 1)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script, environment.REDIS_URL], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  await Promise.race([once(child.stdout, 'data'), once(child, 'exit')])
  // Each refresh now takes as long as its timeout.
  for (const node of nodes) node.process.kill('SIGSTOP')
  await eventually(() => child.exitCode !== null)
  t.equal(child.exitCode, 0)
})
