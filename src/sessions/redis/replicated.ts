import { setTimeout as sleep } from 'node:timers/promises'
import { type Cluster, Command, type Redis } from 'ioredis'
import { isCluster, type RedisClient } from './client.js'

/** Changes that are done when replicas hold them. */
export interface Replicated {
  /** Runs a script, whose keys are in one slot, and answers as it does: once enough replicas hold what it changed. */
  run(lua: string, keys: readonly string[], ...args: (string | number)[]): Promise<unknown>
  close(): void
}

/** How long replicas may take, in milliseconds: a command has 200. */
const WAIT_TIMEOUT = 150
/** In all, as long as a command may take. Milliseconds. */
const LIMIT = 200

interface Change {
  lua: string
  keys: readonly string[]
  args: (string | number)[]
  /** By the clock of `performance`. */
  deadline: number
  /** Where a node of the cluster has sent us for this once, while a slot moves: `HOST:PORT`. */
  askedOf?: string
  resolve(answer: unknown): void
  reject(error: unknown): void
}

/**
 * `WAIT` counts the replicas that hold the last write of its own connection: so it goes in one pipeline with the write,
 * and neither a reconnection nor a failover comes between the two. It holds its connection up, so it has one to itself;
 * and what arrives meanwhile goes together next, with one `WAIT` for all.
 */
export function createReplicated(client: RedisClient, replicas: number): Replicated {
  const waiting = new Map<string, Change[]>()
  const busy = new Set<string>()

  function enqueue(change: Change): void {
    const node = change.askedOf ?? ownerOf(client, change.keys[0] as string)
    const queue = waiting.get(node) ?? []
    waiting.set(node, queue)
    queue.push(change)
    if (!busy.has(node)) void sendAll(node)
  }

  async function sendAll(node: string): Promise<void> {
    busy.add(node)
    for (let batch = waiting.get(node); batch; batch = waiting.get(node)) {
      waiting.delete(node)
      await send(node, batch).catch((error) => {
        for (const { reject } of batch as Change[]) reject(error)
      })
    }
    busy.delete(node)
  }

  async function send(node: string, batch: Change[]): Promise<void> {
    const living = batch.filter((change) => performance.now() < change.deadline || expire(change))
    if (living.length === 0) return
    const pipeline = connectionTo(client, node).pipeline()
    for (const { lua, keys, args, askedOf } of living) {
      if (askedOf) pipeline.asking()
      pipeline.eval(lua, keys.length, ...keys, ...args)
    }
    pipeline.wait(replicas, WAIT_TIMEOUT)
    const results = (await pipeline.exec()) ?? []
    const [failed, held] = results.at(-1) as [Error | null, number]
    const shortage = failed ?? (held < replicas ? new Error(`${held} of ${replicas} replicas have it`) : undefined)

    let i = 0
    for (const change of living) {
      if (change.askedOf) i += 1
      const [error, answer] = results[i++] as [Error | null, unknown]
      if (error) void redirect(change, error)
      else if (shortage) change.reject(shortage)
      else change.resolve(answer)
    }
  }

  /** A script that was sent to the wrong node has changed nothing. */
  async function redirect(change: Change, error: Error): Promise<void> {
    const [kind, , node] = error.message.split(' ')
    if (performance.now() > change.deadline || !isCluster(client)) return change.reject(error)
    delete change.askedOf
    try {
      if (kind === 'ASK' && node) change.askedOf = node
      else if (kind === 'MOVED') await refreshSlots(client)
      else if (kind === 'TRYAGAIN') await sleep(20)
      else throw error
      enqueue(change)
    } catch (trouble) {
      change.reject(trouble)
    }
  }

  return {
    run: (lua, keys, ...args) =>
      new Promise((resolve, reject) => {
        enqueue({ lua, keys, args, deadline: performance.now() + LIMIT, resolve, reject })
      }),
    close: () => client.disconnect(),
  }
}

function expire({ reject }: Change): false {
  reject(new Error('Redis was too busy with what came before'))
  return false
}

/** `HOST:PORT` of the node that has a key, in a cluster. */
function ownerOf(client: RedisClient, key: string): string {
  return isCluster(client) ? (client.slots[new Command('get', [key]).getSlot() as number]?.[0] ?? 'unknown') : ''
}

function connectionTo(client: RedisClient, name: string): Redis {
  if (!isCluster(client)) return client
  const node = client.nodes().find(({ options: { host, port } }) => `${host}:${port}` === name)
  if (!node) throw new Error('the node of the cluster that has this is away')
  return node
}

function refreshSlots(client: Cluster): Promise<void> {
  return new Promise((resolve, reject) => {
    client.refreshSlotsCache((error) => (error ? reject(error) : resolve()))
  })
}
