import { epochKey } from '@latchkey/verifier/redis-keys'
import type { Redis } from 'ioredis'
import { isCluster, type RedisClient } from './client.js'

const MIN_VERSION = 7

/**
 * Returns what makes this Redis unfit for sessions although it answers, or undefined.
 *
 * @throws Error if Redis does not answer
 */
export async function findFault(client: RedisClient): Promise<string | undefined> {
  // While ioredis connects, it sends INFO but no other command. So an answer would not mean that requests succeed.
  if (client.status !== 'ready') throw new Error(`the connection is not ready: ${client.status}`)
  if (!isCluster(client)) return faultOf(client)
  // Every request needs the node with the feed. Another node that is down affects only the users on it.
  const [, ...faults] = await Promise.all([
    client.exists(epochKey),
    ...client.nodes('master').map((node) => faultOf(node).catch(() => undefined)),
  ])
  return faults.find((fault) => fault !== undefined)
}

async function faultOf(node: Redis): Promise<string | undefined> {
  const info = await node.info().catch((error: Error) => {
    // An ACL may forbid INFO. Then trust the configuration.
    if (error.message.startsWith('NOPERM')) return node.ping()
    throw error
  })
  const value = (name: string) => new RegExp(`^${name}:(\\S+)`, 'm').exec(info)?.[1]
  // Valkey reports the version of Redis that it is compatible with. PEXPIRETIME came with 7.0.
  const version = value('redis_version') ?? `${MIN_VERSION}.0`
  if (Number.parseInt(version, 10) < MIN_VERSION) {
    return `this Redis has version ${version}: sessions need Redis ${MIN_VERSION}.0 or later, or Valkey`
  }
  const policy = value('maxmemory_policy')
  if (policy !== undefined && policy !== 'noeviction') {
    // An evicted session signs somebody out. After an evicted revocation of a client, its revoked tokens are accepted again.
    return `Redis may evict sessions and revocations: its maxmemory-policy is ${policy}, and must be noeviction`
  }
  return value('role') === 'slave' ? 'this Redis is a replica: set REDIS_URL to the primary' : undefined
}
