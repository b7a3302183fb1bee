import type { Logger } from 'pino'
import type { RedisConfig, StoresConfig } from './config.js'
import { type Database, type DatabaseTimes, openDatabase } from './database/database.js'
import { connectRedis, type RedisClient } from './sessions/redis/client.js'
import { findFault } from './sessions/redis/health.js'
import { createReplicated } from './sessions/redis/replicated.js'
import { createRedisSessions } from './sessions/redis/sessions.js'
import type { SessionStore } from './sessions/session.js'
import { createSqlSessions } from './sessions/sql.js'

/** Where everything is kept: the database of accounts and clients, and sessions in Redis where there is one. */
export interface Stores {
  database: Database
  redis: RedisClient | undefined
  sessions: SessionStore
  close(): Promise<void>
}

/** Opens what the configuration names, for the service and for the command line. Does not wait for Redis. */
export async function openStores(config: StoresConfig, logger: Logger, times?: DatabaseTimes): Promise<Stores> {
  const onError = (err: Error) => logger.warn({ err }, 'a database connection failed')
  const database = await openDatabase(config.databaseUrl, onError, times)
  const redis = config.redis && openRedis(config.redis, logger)
  const sessions = redis
    ? createRedisSessions(redis.client, config, redis.replicated)
    : createSqlSessions(database, config)
  return {
    database,
    redis: redis?.client,
    sessions,
    async close() {
      await sessions.close()
      redis?.client.disconnect()
      await database.close()
    },
  }
}

function openRedis(config: RedisConfig, logger: Logger) {
  const onError = (err: Error) => logger.warn({ reason: err.message }, 'the connection to Redis failed')
  const client = connectRedis(config, onError)
  // With each connection: after a failover it may lead to another Redis, with other settings.
  client.on('ready', async () => {
    const fault = await findFault(client).catch(() => undefined)
    if (fault !== undefined) logger.error({ fault }, 'this Redis is not fit to keep sessions')
  })
  const replicated =
    config.waitReplicas > 0 ? createReplicated(connectRedis(config, onError), config.waitReplicas) : undefined
  return { client, replicated }
}
