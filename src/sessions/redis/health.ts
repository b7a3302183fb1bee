import { epochKey } from '@latchkey/verifier/redis-keys'
import type { Redis } from 'ioredis'
import { isCluster, type RedisClient } from './client.js'

/**
 * What is wrong with this Redis although it answers, or undefined.
 *
 * @throws Error where it does not answer
 */
export async function findFault(client: RedisClient): Promise<string | undefined> {
  // While it connects, ioredis lets this question through, and no other: what follows a yes would fail.
  if (client.status !== 'ready') throw new Error(`the connection is not ready: ${client.status}`)
  if (!isCluster(client)) return faultOf(client)
  // What everyone needs is the node with the feed. One of the others that is away is its own users' trouble.
  const [, ...faults] = await Promise.all([
    client.exists(epochKey),
    ...client.nodes('master').map((node) => faultOf(node).catch(() => undefined)),
  ])
  return faults.find((fault) => fault !== undefined)
}

async function faultOf(node: Redis): Promise<string | undefined> {
  const info = await node.info().catch((error: Error) => {
    // An ACL may forbid the question. Then the operator's word is believed.
    if (error.message.startsWith('NOPERM')) return node.ping()
    throw error
  })
  const value = (name: string) => new RegExp(`^${name}:(\\S+)`, 'm').exec(info)?.[1]
  const policy = value('maxmemory_policy')
  if (policy !== undefined && policy !== 'noeviction') {
    // What it throws away may be a session, or that a client's tokens have ended: then they live again.
    return `Redis may throw away what it should keep: its maxmemory-policy is ${policy}, and must be noeviction`
  }
  return value('role') === 'slave' ? 'this Redis is a replica: REDIS_URL must name the primary' : undefined
}
