import { Redis } from 'ioredis'
import type { Test } from 'tap'
import { eventually } from '../eventually.js'
import { freePort } from './ports.js'
import { type RedisServer, startRedis } from './redis.js'

/** Three primaries, each with this many replicas. */
export interface RedisCluster {
  nodes: (RedisServer & { admin: Redis; id: string; busPort: number })[]
  environment: { REDIS_URL: string; REDIS_MODE: string }
  /** The primary with the slot of a key. */
  ownerOf(key: string): Promise<ClusterNode>
  /** Moves one slot to another primary, key by key, as `redis-cli --cluster reshard` does. */
  moveSlot(slot: number, from: ClusterNode, to: ClusterNode): Promise<void>
  /** The live primaries. */
  primaries(): Promise<ClusterNode[]>
}
export type ClusterNode = RedisCluster['nodes'][number]

const SLOTS = 16_384
const PRIMARIES = 3

export async function startRedisCluster(t: Test, replicas = 1): Promise<RedisCluster> {
  const nodes = await Promise.all(Array.from({ length: PRIMARIES * (1 + replicas) }, () => startNode(t)))
  const [first] = nodes as [ClusterNode]
  const primaries = nodes.slice(0, PRIMARIES)
  await Promise.all(
    primaries.map(({ admin }, i) =>
      admin.cluster('ADDSLOTSRANGE', Math.ceil((i * SLOTS) / PRIMARIES), Math.ceil(((i + 1) * SLOTS) / PRIMARIES) - 1),
    ),
  )
  for (const { port, busPort } of nodes) await first.admin.cluster('MEET', '127.0.0.1', port, busPort)
  await eventually(async () => {
    const views = await Promise.all(nodes.map(async ({ admin }) => String(await admin.cluster('NODES'))))
    return views.every((view) => nodes.every(({ id }) => view.includes(id)))
  })
  for (const [i, { admin }] of nodes.slice(PRIMARIES).entries()) {
    await admin.cluster('REPLICATE', (primaries[i % PRIMARIES] as ClusterNode).id)
  }
  await eventually(async () => {
    const infos = await Promise.all(nodes.map(async ({ admin }) => String(await admin.cluster('INFO'))))
    const links = await Promise.all(nodes.slice(PRIMARIES).map(({ admin }) => admin.info('replication')))
    const views = await Promise.all(nodes.map(async ({ admin }) => String(await admin.cluster('NODES'))))
    return (
      infos.every((info) => info.includes('cluster_state:ok')) &&
      links.every((link) => link.includes('master_link_status:up')) &&
      views.every((view) => view.split(/[ ,]slave /).length - 1 === nodes.length - PRIMARIES)
    )
  })

  const living = () => nodes.filter(({ process }) => process.exitCode === null && process.signalCode === null)
  const primariesNow = async () => {
    const roles = await Promise.all(
      living().map(async (node) => {
        const role = await node.admin.role().catch(() => ['away'])
        return (role as string[])[0] === 'master' ? [node] : []
      }),
    )
    return roles.flat()
  }
  return {
    nodes,
    environment: { REDIS_URL: nodes.map(({ url }) => url).join(','), REDIS_MODE: 'cluster' },
    primaries: primariesNow,
    async ownerOf(key) {
      for (const node of await primariesNow()) {
        const answer = await node.admin.exists(key).catch((error: Error) => error.message)
        if (typeof answer === 'number') return node
      }
      throw new Error(`no node has ${key}`)
    },
    async moveSlot(slot, from, to) {
      await to.admin.cluster('SETSLOT', slot, 'IMPORTING', from.id)
      await from.admin.cluster('SETSLOT', slot, 'MIGRATING', to.id)
      for (;;) {
        const keys = (await from.admin.cluster('GETKEYSINSLOT', slot, 10)) as string[]
        if (keys.length === 0) break
        await from.admin.call('MIGRATE', '127.0.0.1', to.port, '', 0, 5000, 'KEYS', ...keys)
      }
      for (const { admin } of [to, from, ...(await primariesNow())]) await admin.cluster('SETSLOT', slot, 'NODE', to.id)
    },
  }
}

async function startNode(t: Test): Promise<ClusterNode> {
  const busPort = await freePort()
  const server = await startRedis({
    busPort,
    args: [
      ...['--cluster-node-timeout', '1000', '--repl-diskless-sync-delay', '0'],
      ...['--cluster-replica-validity-factor', '0'],
    ],
  })
  t.teardown(() => server.stop())
  const admin = new Redis(server.url, { retryStrategy: () => 100, maxRetriesPerRequest: 0 })
  admin.on('error', () => {})
  t.teardown(() => admin.disconnect())
  return Object.assign(server, { admin, busPort, id: String(await admin.cluster('MYID')) })
}
