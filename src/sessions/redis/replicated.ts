import { setTimeout as sleep } from 'node:timers/promises'
import { type Cluster, Command, type Redis } from 'ioredis'
import { commandTimeout, isCluster, type RedisClient } from './client.js'

/** Runs changes that must be on replicas before they count as done. */
export interface Replicated {
  /** Runs a script whose keys are in one slot. Resolves with its reply when enough replicas hold the change. */
  run(lua: string, keys: readonly string[], ...args: (string | number)[]): Promise<unknown>
  close(): void
}

/** Milliseconds for which `WAIT` waits for replicas. It must fit into the timeout of a command. */
const WAIT_TIMEOUT = 150

interface Change {
  lua: string
  keys: readonly string[]
  args: (string | number)[]
  /** Milliseconds on the clock of `performance.now()`. */
  deadline: number
  /** `HOST:PORT` from an `ASK` redirection: while a slot moves, this node runs the change once. */
  askedOf?: string
  resolve(answer: unknown): void
  reject(error: unknown): void
}

/**
 * `WAIT` counts the replicas that hold the last write of its own connection. So the write and `WAIT` leave in one pipeline:
 * no reconnection and no failover can come between the two.
 *
 * `WAIT` blocks its connection, so this class of changes has a connection of its own. Changes that arrive while it waits
 * leave together in the next pipeline, with one `WAIT` for all.
 */
export function createReplicated(client: RedisClient, replicas: number): Replicated {
  const waiting = new Map<string, Change[]>()
  const busy = new Set<string>()
  // For a change in all, including its time in the queue.
  const timeout = commandTimeout(client)

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
    const shortage =
      failed ?? (held < replicas ? new Error(`only ${held} of ${replicas} replicas hold the change`) : undefined)

    let i = 0
    for (const change of living) {
      if (change.askedOf) i += 1
      const [error, answer] = results[i++] as [Error | null, unknown]
      if (error) void redirect(change, error)
      else if (shortage) change.reject(shortage)
      else change.resolve(answer)
    }
  }

  /** Sends the change again. A script that reached the wrong node has changed nothing. */
  async function redirect(change: Change, error: Error): Promise<void> {
    const [kind = '', , node] = error.message.split(' ')
    if (!isCluster(client) || !['ASK', 'MOVED', 'TRYAGAIN'].includes(kind)) return change.reject(error)
    if (performance.now() > change.deadline) {
      return change.reject(new Error(`the command timed out while its slot moved (${error.message})`))
    }
    delete change.askedOf
    try {
      if (kind === 'ASK' && node) change.askedOf = node
      else if (kind === 'MOVED') await refreshSlots(client)
      else await sleep(20)
      enqueue(change)
    } catch (failure) {
      change.reject(failure)
    }
  }

  return {
    run: (lua, keys, ...args) =>
      new Promise((resolve, reject) => {
        enqueue({ lua, keys, args, deadline: performance.now() + timeout, resolve, reject })
      }),
    close: () => client.disconnect(),
  }
}

function expire({ reject }: Change): false {
  reject(new Error('Redis was too busy with earlier changes'))
  return false
}

/** In a cluster, `HOST:PORT` of the node that has the key. Otherwise empty. */
function ownerOf(client: RedisClient, key: string): string {
  return isCluster(client) ? (client.slots[new Command('get', [key]).getSlot() as number]?.[0] ?? 'unknown') : ''
}

function connectionTo(client: RedisClient, name: string): Redis {
  if (!isCluster(client)) return client
  const node = client.nodes().find(({ options: { host, port } }) => `${host}:${port}` === name)
  if (!node) throw new Error('the cluster node that has this key is down')
  return node
}

function refreshSlots(client: Cluster): Promise<void> {
  return new Promise((resolve, reject) => {
    client.refreshSlotsCache((error) => (error ? reject(error) : resolve()))
  })
}
