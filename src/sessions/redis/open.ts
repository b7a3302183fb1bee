import type { Logger } from 'pino'
import type { RegistrableStore } from '../registrable-store.js'
import type { SessionStore, StoreOptions } from '../session.js'
import { connectRedis, type RedisClient, type RedisLocation } from './client.js'
import { findFault } from './health.js'
import { createOutageLog } from './outage-log.js'
import { createRegistrableRedis } from './registrable.js'
import { createReplicated } from './replicated.js'
import { createRedisSessions } from './sessions.js'

/**
 * Starts to connect, and does not wait for the connection.
 *
 * @param location `waitReplicas` is the number of Redis replicas that must hold a revocation before it is acknowledged
 * @param isConfirmed whether this Redis is the store that the database registers
 */
export function openRedis(
  location: RedisLocation & { waitReplicas: number },
  options: StoreOptions,
  logger: Logger,
  isConfirmed: () => boolean,
): { client: RedisClient; sessions: SessionStore; registrable: RegistrableStore } {
  const outage = createOutageLog(logger, () => client.status === 'end')
  const client: RedisClient = connectRedis(location, outage.onError)
  // Check each new connection: after a failover it may lead to another Redis with other settings.
  client.on('ready', async () => {
    outage.onReady()
    const fault = await findFault(client).catch(() => undefined)
    if (fault !== undefined) logger.error({ fault }, 'this Redis cannot hold sessions safely')
  })
  const { waitReplicas } = location
  const replicated =
    waitReplicas > 0
      ? createReplicated(connectRedis(location, outage.onError).on('ready', outage.onReady), waitReplicas)
      : undefined
  return {
    client,
    sessions: createRedisSessions(client, options, replicated, isConfirmed),
    registrable: createRegistrableRedis(client, location),
  }
}
