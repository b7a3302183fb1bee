import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import type { Test } from 'tap'
import { eventually } from '../eventually.js'
import { temporaryFolder } from '../service.js'
import { freePort } from './ports.js'
import { type RedisServer, startRedis } from './redis.js'

/** A primary, its replicas, and the sentinels that watch them. */
export interface SentinelSetup {
  servers: RedisServer[]
  sentinels: RedisServer[]
  /** The values of `REDIS_URL`, `REDIS_MODE` and `REDIS_SENTINEL_MASTER`. */
  environment: { REDIS_URL: string; REDIS_MODE: string; REDIS_SENTINEL_MASTER: string }
  /** The primary according to the sentinels. */
  primary(): Promise<RedisServer>
  /** Waits until another server than this one is the primary, and reports this role itself. */
  untilReplaced(old: RedisServer): Promise<RedisServer>
  /** Starts a killed server again, as a replica. */
  restart(server: RedisServer, primary: RedisServer): Promise<void>
  /** Waits until every replica follows the primary. */
  untilHealthy(): Promise<void>
}

const MASTER = 'latchkey'
/** Sentinels replace a primary that is silent for this many milliseconds, in a test that waits for that. */
export const SOON = 500
/** In the other tests a pause of a busy machine is not the end of a primary. */
const LATE = 60_000

/** Starts a Redis that follows another, and waits until it has caught up. */
export async function startReplica(
  t: Test,
  primary: Pick<RedisServer, 'port'>,
  { args = [], port }: { args?: string[]; port?: number } = {},
): Promise<RedisServer> {
  const replica = await startRedis({
    ...(port && { port }),
    args: ['--replicaof', '127.0.0.1', String(primary.port), '--repl-diskless-sync-delay', '0', ...args],
  })
  t.teardown(() => replica.stop())
  const admin = new Redis(replica.url)
  await eventually(async () => (await admin.info('replication')).includes('master_link_status:up'))
  admin.disconnect()
  return replica
}

export async function startSentinels(
  t: Test,
  { replicas = 2, args = [] as string[], downAfter = LATE } = {},
): Promise<SentinelSetup> {
  const fast = ['--repl-diskless-sync-delay', '0', ...args]
  const first = await startRedis({ args: fast })
  t.teardown(() => first.stop())
  const others = await Promise.all(Array.from({ length: replicas }, () => startReplica(t, first, { args })))
  const servers = [first, ...others]
  const sentinels = await Promise.all([1, 2, 3].map(() => startSentinel(t, first, downAfter)))
  const [asked] = sentinels as [RedisServer]
  const admin = new Redis(asked.url, { retryStrategy: () => 100, maxRetriesPerRequest: null })
  admin.on('error', () => {})
  t.teardown(() => admin.disconnect())
  await eventually(async () => {
    const info = await admin.info('sentinel')
    return info.includes(`slaves=${replicas},sentinels=3`)
  })
  const primary = async () => {
    const [, port] = (await admin.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', MASTER)) as [string, string]
    return servers.find((server) => server.port === Number(port)) as RedisServer
  }
  return {
    servers,
    sentinels,
    environment: {
      REDIS_URL: sentinels.map(({ url }) => url).join(','),
      REDIS_MODE: 'sentinel',
      REDIS_SENTINEL_MASTER: MASTER,
    },
    primary,
    async untilReplaced(old) {
      await eventually(async () => (await primary()) !== old && (await roleOf(await primary())) === 'master')
      return primary()
    },
    async restart(server, primary) {
      servers[servers.indexOf(server)] = await startReplica(t, primary, { args, port: server.port })
    },
    async untilHealthy() {
      await eventually(async () => {
        const { port } = await primary()
        const links = await Promise.all(servers.filter((one) => one.port !== port).map(infoOf))
        return links.every((link) => link.includes(`master_port:${port}`) && link.includes('master_link_status:up'))
      })
    },
  }
}

async function startSentinel(t: Test, primary: RedisServer, downAfter: number): Promise<RedisServer> {
  const port = await freePort()
  // A sentinel writes its knowledge into its configuration.
  const file = join(temporaryFolder(t), 'sentinel.conf')
  writeFileSync(
    file,
    [
      `sentinel monitor ${MASTER} 127.0.0.1 ${primary.port} 2`,
      `sentinel down-after-milliseconds ${MASTER} ${downAfter}`,
      `sentinel failover-timeout ${MASTER} 3000`,
      `sentinel parallel-syncs ${MASTER} 5`,
    ].join('\n'),
  )
  const sentinel = await startRedis({ port, config: file, args: ['--sentinel'], ready: 'Sentinel ID is' })
  t.teardown(() => sentinel.stop())
  return sentinel
}

const roleOf = async (server: RedisServer) => /role:(\w+)/.exec(await infoOf(server))?.[1]

/** The replication section of INFO. Empty when the server is down. */
async function infoOf(server: RedisServer): Promise<string> {
  const admin = new Redis(server.url, { retryStrategy: null, maxRetriesPerRequest: 0, commandTimeout: 500 })
  admin.on('error', () => {})
  try {
    return await admin.info('replication')
  } catch {
    return ''
  } finally {
    admin.disconnect()
  }
}
