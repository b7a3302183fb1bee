import { setDefaultAutoSelectFamilyAttemptTimeout } from 'node:net'
import type { Logger } from 'pino'
import { followAddress } from './config/address-file.js'
import { databaseUrl, redisUrls } from './config/addresses.js'
import type { StoresConfig } from './config/config.js'
import type { Database, DatabaseObserver } from './database/database.js'
import { openDatabase } from './database/open.js'
import type { SessionStoreRow } from './database/schema.js'
import type { RedisClient } from './sessions/redis/client.js'
import { createRegistration, type Registration } from './sessions/registration.js'
import type { SessionStore } from './sessions/session.js'
import { createRegistrableDatabase, createSqlSessions, deleteSessions } from './sessions/sql.js'

/**
 * Node tries the addresses of a host one after the other, by default 250 ms each. A connection to a store has 400 ms in all.
 * Milliseconds.
 */
const ADDRESS_TIMEOUT = 100

/** The database of accounts and clients, and the store of sessions: Redis if the configuration names one. */
export interface Stores {
  database: Database
  redis: RedisClient | undefined
  /** Answers only while the database registers this store. */
  sessions: SessionStore
  close(): Promise<void>
}

/**
 * Opens the stores that the configuration names, for the service or a command. Does not wait for Redis.
 *
 * @throws {SessionStoreRefused} to a service while another instance keeps the sessions in another store
 */
export async function openStores(
  config: StoresConfig,
  logger: Logger,
  observer?: DatabaseObserver,
  role: 'service' | 'command' = 'command',
): Promise<Stores & Pick<Registration, 'confirm'>> {
  setDefaultAutoSelectFamilyAttemptTimeout(ADDRESS_TIMEOUT)
  const onError = (err: Error) => logger.warn({ err }, 'a database connection failed')
  const onFault = (reason: string) =>
    logger.error({ reason }, 'DATABASE_URL_FILE has a fault: the previous address stays in use')
  const { databaseUrlFile: file } = config
  const address = file === undefined ? undefined : followAddress(config.databaseUrl, file, databaseUrl, onFault)
  const database = await openDatabase(config.databaseUrl, onError, observer, address)
  // The store asks the registration, which needs the store. Nothing calls this function before both exist.
  const { sessions, redis, registrable } = await openSessions(config, database, logger, () =>
    registration.isConfirmed(),
  )
  async function emptyPrevious(before: SessionStoreRow): Promise<void> {
    if (before.kind === 'database') await deleteSessions(database)
    else await (await import('./sessions/redis/registrable.js')).emptyPreviousRedis(before)
  }
  const registration = createRegistration(database, registrable, emptyPrevious, logger, role)

  async function close(): Promise<void> {
    await registration.close()
    await sessions.close()
    redis?.disconnect()
    await database.close()
  }
  try {
    if (role === 'service') await registration.start()
  } catch (error) {
    await close()
    throw error
  }
  return { database, redis, sessions: registration.guard(sessions), confirm: registration.confirm, close }
}

async function openSessions(config: StoresConfig, database: Database, logger: Logger, isConfirmed: () => boolean) {
  if (!config.redis) {
    const sessions = createSqlSessions(database, config)
    return { sessions, redis: undefined, registrable: createRegistrableDatabase(database, sessions) }
  }
  // Loading the Redis client takes 5% of the start.
  const { openRedis } = await import('./sessions/redis/open.js')
  const { urls, urlFile } = config.redis
  const onFault = (reason: string) =>
    logger.error({ reason }, 'REDIS_URL_FILE has a fault: the previous address stays in use')
  const followed = urlFile === undefined ? undefined : followAddress(urls, urlFile, redisUrls, onFault)
  const { client, sessions, registrable } = openRedis({ ...config.redis, followed }, config, logger, isConfirmed)
  return { sessions, redis: client, registrable }
}
