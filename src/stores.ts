import type { Logger } from 'pino'
import type { StoresConfig } from './config.js'
import { type Database, type DatabaseTimes, openDatabase } from './database/database.js'
import type { RedisClient } from './sessions/redis/client.js'
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
  // Loaded where there is one: it takes a twentieth of the start.
  const redis = config.redis && (await import('./sessions/redis/open.js')).openRedis(config.redis, config, logger)
  const sessions = redis?.sessions ?? createSqlSessions(database, config)
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
