import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { epochKey, feedKey, storeIdKey } from '@latchkey/verifier/redis-keys'
import type { Redis } from 'ioredis'
import type { RegistrableStore } from '../registrable-store.js'
import { connectRedis, isCluster, type RedisClient, type RedisLocation } from './client.js'

/** How long a start waits for the first connection, in milliseconds. */
const CONNECT_TIME = 1000
/** Keys that one `SCAN` looks at. */
const SCAN_COUNT = 500
/** A writer's heartbeat comes more often. Milliseconds. */
const SILENCE = 600

const epochLua = readFileSync(new URL('./epoch.lua', import.meta.url), 'utf8')

/** Redis as a store that the database registers. */
export function createRegistrableRedis(client: RedisClient, location: RedisLocation): RegistrableStore {
  const lastEntry = async () => (await client.xrevrange(feedKey, '+', '-', 'COUNT', 1))[0]?.[0]

  async function writeId(id: string): Promise<void> {
    await client.eval(epochLua, 1, epochKey)
    await client.set(storeIdKey, id)
  }

  return {
    kind: 'redis',
    address: addressOf(location),

    connect: async () => {
      if (client.status !== 'ready') await untilDecided(client)
    },

    watchConnection(onLost, onBack) {
      client.on('close', onLost).on('ready', onBack)
    },

    readId: async () => (await client.get(storeIdKey)) ?? undefined,

    async initialize(id) {
      // No epoch: until there is one, verifiers know nothing of clients' tokens, and accept none.
      await client.del(epochKey)
      const nodes = isCluster(client) ? client.nodes('master') : [client]
      await Promise.all(nodes.map(deleteSessions))
      await writeId(id)
    },

    writeId,

    async isInUseElsewhere() {
      const before = await lastEntry()
      await sleep(SILENCE)
      return (await lastEntry()) !== before
    },
  }
}

/** Deletes what is of a user or a client: sessions, indexes and revocations. The epoch stands for the revocations. */
async function deleteSessions(node: Redis): Promise<void> {
  let cursor = '0'
  do {
    const [next, keys] = await node.scan(cursor, 'MATCH', 'lk1:{*', 'COUNT', SCAN_COUNT)
    // One by one: in a cluster they are in several slots.
    await Promise.all(keys.map((key) => node.unlink(key)))
    cursor = next
  } while (cursor !== '0')
}

/** REDIS_URL without credentials; with Sentinel, the name of the primary first. */
function addressOf({ mode, urls, sentinelMaster = '' }: RedisLocation): string {
  const plain = urls.map((url) => {
    const { protocol, host, pathname } = new URL(url)
    return `${protocol}//${host || 'localhost'}${pathname}`
  })
  const master = mode === 'sentinel' ? `${sentinelMaster.replace(/^.*@/, '')} of ` : ''
  return `${master}${plain.join(', ')}`
}

/**
 * Empties a Redis that is left behind, where it can be reached without credentials, which nobody has written down.
 *
 * @param id the store must hold this id: at its address there may be another one now
 */
export async function emptyLeftBehind({ address, id }: { address: string; id: string }): Promise<void> {
  if (!URL.canParse(address)) throw new Error('it is not a single Redis')
  let fault: Error | undefined
  const client = connectRedis({ mode: 'single', urls: [address] }, (error) => {
    fault = error
  })
  try {
    if (client.status !== 'ready') await untilDecided(client)
    if (fault) throw fault
    if ((await client.get(storeIdKey)) !== id) return
    await client.del(storeIdKey, epochKey)
    await deleteSessions(client as Redis)
  } finally {
    client.disconnect()
  }
}

/** Waits for the first connection, or for its failure. */
function untilDecided(client: RedisClient): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, CONNECT_TIME).unref()
    for (const event of ['ready', 'error', 'close']) client.once(event, resolve)
  })
}
