import pg from 'pg'
import type { DatabaseObserver, FollowedUrl, MigratableDatabase } from './database.js'
import { Kysely, PostgresDialect, type PostgresPool, type PostgresPoolClient, sql } from './kysely.js'
import { parsePostgresAddress } from './postgres-address.js'
import { MigrationDialect, migratePostgres } from './postgres-migration.js'
import { openPrimaryPool } from './postgres-primary.js'
import type { Tables } from './schema.js'
import { withPing, withUnavailable } from './with-unavailable.js'

// pg returns int8 as text because it may exceed 2^53. The times and counters of this service do not.
const types: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: 'text' | 'binary') =>
    oid === pg.types.builtins.INT8 ? Number : pg.types.getTypeParser(oid, format)) as typeof pg.types.getTypeParser,
}

export function openPostgres(
  address: FollowedUrl,
  onError: (error: Error) => void,
  observer: DatabaseObserver | undefined,
): MigratableDatabase {
  const { pooler } = parsePostgresAddress(address.current())
  const pool = openPool(
    address,
    {
      types,
      max: 10,
      application_name: 'latchkey',
      keepAlive: true,
      // A caller gets a row or a 503 within 1 s, the wait for a connection included. Milliseconds.
      connectionTimeoutMillis: 400,
      query_timeout: 550,
      // A pooler refuses this setting. Then a statement may run on after the service has given up.
      ...(!pooler && { statement_timeout: 550 }),
    },
    onError,
  )
  const db = new Kysely<Tables>({
    dialect: withUnavailable(new PostgresDialect({ pool: evictingPool(pool) }), observer),
  })
  return {
    ...withPing(db),
    now: sql<number>`(extract(epoch FROM clock_timestamp()) * 1000)::bigint`,
    statementTime: sql<number>`(extract(epoch FROM statement_timestamp()) * 1000)::bigint`,
    forUpdate: sql`FOR UPDATE`,
    byCodePoint: sql`COLLATE "C"`,
    async migrate() {
      // A separate pool without the time limits: a second starting process waits here for the first. Two connections: one holds
      // the lock while the other migrates.
      const migrationDatabase = new Kysely<Tables>({
        dialect: withUnavailable(
          new MigrationDialect({ pool: openPool(address, { max: 2, connectionTimeoutMillis: 5000 }, onError) }),
        ),
      })
      try {
        await migratePostgres(migrationDatabase)
      } finally {
        await migrationDatabase.destroy()
      }
    },
  }
}

/** SQLSTATE read_only_sql_transaction. */
const READ_ONLY = '25006'

/** Connections to the primary. @param address is read again for each new connection */
function openPool(
  address: FollowedUrl,
  config: pg.PoolConfig,
  onError: (error: Error) => void,
): Pick<pg.Pool, 'connect' | 'end'> {
  const { urls, primaryOnly } = parsePostgresAddress(address.current())
  const open = (index: number, verify: pg.PoolConfig = {}) =>
    openHostPool(
      { ...address, current: () => parsePostgresAddress(address.current()).urls[index] as string },
      { ...config, ...verify },
      onError,
    )
  return primaryOnly ? openPrimaryPool(urls, open) : open(0)
}

/**
 * A pool that survives the loss of its connections. A lost connection emits `error`, which ends the process when nothing
 * listens. pg's pool listens only while a connection is idle.
 */
function openHostPool(
  { current, read }: FollowedUrl,
  config: pg.PoolConfig,
  onError: (error: Error) => void,
): Pick<pg.Pool, 'connect' | 'end'> {
  // The pool creates a client for each new connection. Its user name and password may have changed since the last one.
  class Client extends pg.Client {
    constructor(options?: pg.ClientConfig) {
      super({ ...options, connectionString: current() })
    }
  }
  const pool = new pg.Pool({ ...config, Client })
    .on('connect', (client) => client.on('error', onError))
    .on('error', () => {})
  if (!read) return pool

  // The constructor of a client cannot wait, and pg has an asynchronous option for the password but none for the user. So the
  // file is read when the pool has fewer idle connections than callers.
  async function connect(): Promise<pg.PoolClient> {
    if (pool.idleCount <= pool.waitingCount && pool.totalCount < pool.options.max) await read?.()
    return pool.connect()
  }
  return { connect: connect as pg.Pool['connect'], end: pool.end.bind(pool) as pg.Pool['end'] }
}

/**
 * Discards connections that timed out or became read-only. pg would return them to the pool, and the next query would fail
 * too: on a half-open connection for hours.
 */
function evictingPool(pool: Pick<pg.Pool, 'connect' | 'end'>): PostgresPool {
  return {
    end: () => pool.end(),
    async connect() {
      const client = await pool.connect()
      let isUnusable = false
      return {
        async query(text: string, parameters: readonly unknown[]) {
          try {
            return await client.query(text, [...parameters])
          } catch (error) {
            const { code, message } = error as Error & { code?: string }
            isUnusable ||= code === READ_ONLY || message === 'Query read timeout'
            throw error
          }
        },
        release: () => client.release(isUnusable),
      } as unknown as PostgresPoolClient
    },
  }
}
