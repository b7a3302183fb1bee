import { setTimeout as sleep } from 'node:timers/promises'
import { epochKey, feedKey, storeIdKey } from '@latchkey/verifier/redis-keys'
import type { Redis } from 'ioredis'
import type { RegistrableStore } from '../registrable-store.js'
import { connectRedis, isCluster, type RedisClient, type RedisLocation } from './client.js'
import { STORE_TTL, scripts } from './scripts.js'

/** Milliseconds for which a starting process waits for the first connection. */
const CONNECT_TIMEOUT = 1000
/** A busy Redis may exceed a timeout. A store that is not emptied keeps its sessions until they expire. */
const EMPTYING_TRIES = 5
/** Milliseconds between two tries. */
const EMPTYING_PAUSE = 200
/** Milliseconds. No request waits for this answer, so it may take longer than others. */
const EMPTYING_TIMEOUT = 900
/** Keys that one `SCAN` visits. */
const SCAN_COUNT = 500
/** Milliseconds. Longer than the interval of heartbeats: a feed that is silent for this time has no writer. */
const HEARTBEAT_WAIT = 600

/** Redis as a session store that the database can register. */
export function createRegistrableRedis(client: RedisClient, location: RedisLocation): RegistrableStore {
  const lastEntry = async () => (await client.xrevrange(feedKey, '+', '-', 'COUNT', 1))[0]?.[0]

  async function writeId(id: string): Promise<void> {
    await client.eval(scripts.lkEpoch.lua, 1, epochKey, STORE_TTL)
    await client.set(storeIdKey, id, 'EX', STORE_TTL)
  }

  return {
    kind: 'redis',
    address: addressOf(location),

    connect: async () => {
      if (client.status !== 'ready') await waitForConnection(client)
    },

    watchConnection(onLost, onReconnected) {
      client.on('close', onLost).on('ready', onReconnected)
    },

    readId: async () => (await client.get(storeIdKey)) ?? undefined,

    async initialize(id) {
      // Delete the epoch first. Without an epoch, verifiers accept no token that a client got for itself.
      await client.del(epochKey)
      const nodes = isCluster(client) ? client.nodes('master') : [client]
      await Promise.all(nodes.map(deleteSessions))
      await writeId(id)
    },

    writeId,

    async isInUseElsewhere() {
      const before = await lastEntry()
      await sleep(HEARTBEAT_WAIT)
      return (await lastEntry()) !== before
    },
  }
}

/** Deletes sessions, indexes and revocations of clients. The new epoch replaces the revocations. */
async function deleteSessions(node: Redis): Promise<void> {
  let cursor = '0'
  do {
    const [next, keys] = await node.scan(cursor, 'MATCH', 'lk1:{*', 'COUNT', SCAN_COUNT)
    // One command for each key: in a cluster the keys are in several slots.
    await Promise.all(keys.map((key) => node.unlink(key)))
    cursor = next
  } while (cursor !== '0')
}

/** REDIS_URL without credentials. With Sentinel, the name of the primary stands before it. */
function addressOf({ mode, urls, sentinelMaster = '' }: RedisLocation): string {
  const plain = urls.map((url) => {
    if (url.startsWith('unix:')) return url.replace(/^unix:\/\/[^/]*@/, 'unix://')
    const { protocol, host, pathname } = new URL(url)
    return `${protocol}//${host || 'localhost'}${pathname}`
  })
  const master = mode === 'sentinel' ? `${sentinelMaster.replace(/^.*@/, '')} of ` : ''
  return `${master}${plain.join(', ')}`
}

/**
 * Empties the previous session store, if Redis accepts a connection without credentials: the database stores no credentials.
 *
 * @param id the id that the store must hold, because another Redis may have its address now
 */
export async function emptyPreviousRedis(previous: { address: string; id: string }): Promise<void> {
  if (!URL.canParse(previous.address)) throw new Error('it is not a single Redis: empty it by hand')
  for (let tries = 1; ; tries += 1) {
    try {
      return await emptyRedis(previous)
    } catch (error) {
      if (tries === EMPTYING_TRIES) throw error
      await sleep(EMPTYING_PAUSE)
    }
  }
}

async function emptyRedis({ address, id }: { address: string; id: string }): Promise<void> {
  let fault: Error | undefined
  const onError = (error: Error) => {
    fault = error
  }
  const client = connectRedis({ mode: 'single', urls: [address] }, onError, EMPTYING_TIMEOUT)
  try {
    if (client.status !== 'ready') await waitForConnection(client)
    if (fault) throw fault
    if ((await client.get(storeIdKey)) !== id) return
    await client.del(storeIdKey, epochKey)
    await deleteSessions(client as Redis)
  } finally {
    client.disconnect()
  }
}

/** Waits until the first connection succeeds or fails, or until the timeout. */
function waitForConnection(client: RedisClient): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, CONNECT_TIMEOUT).unref()
    for (const event of ['ready', 'error', 'close']) client.once(event, resolve)
  })
}
