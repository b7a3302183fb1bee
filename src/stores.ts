import type { Redis } from 'ioredis'
import type { Logger } from 'pino'
import type { StoresConfig } from './config.js'
import { type Database, type DatabaseTimes, openDatabase } from './database/database.js'
import { connectRedis } from './sessions/redis/client.js'
import { createRedisSessions } from './sessions/redis/sessions.js'
import type { SessionStore } from './sessions/session.js'
import { createSqlSessions } from './sessions/sql.js'

/** Where everything is kept: the database of accounts and clients, and sessions in Redis where there is one. */
export interface Stores {
  database: Database
  redis: Redis | undefined
  sessions: SessionStore
  close(): Promise<void>
}

/** Opens what the configuration names, for the service and for the command line. Does not wait for Redis. */
export async function openStores(config: StoresConfig, logger: Logger, times?: DatabaseTimes): Promise<Stores> {
  const onError = (err: Error) => logger.warn({ err }, 'a database connection failed')
  const database = await openDatabase(config.databaseUrl, onError, times)
  const redis =
    config.redisUrl === undefined
      ? undefined
      : connectRedis(config.redisUrl, (err) => logger.warn({ reason: err.message }, 'the connection to Redis failed'))
  const sessions = redis ? createRedisSessions(redis, config) : createSqlSessions(database, config)
  return {
    database,
    redis,
    sessions,
    async close() {
      await sessions.close()
      redis?.disconnect()
      await database.close()
    },
  }
}
