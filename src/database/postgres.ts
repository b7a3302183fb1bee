import { Kysely, PostgresDialect, type PostgresPool, type PostgresPoolClient, sql } from 'kysely'
import pg from 'pg'
import type { DatabaseObserver, Opened } from './database.js'
import { executedMigrations, migrateToLatest } from './migrate.js'
import type { Tables } from './schema.js'
import { withPing, withUnavailable } from './with-unavailable.js'

// int8 arrives as text, for it may be past 2^53: ours are times and counters, which are not.
const types: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: 'text' | 'binary') =>
    oid === pg.types.builtins.INT8 ? Number : pg.types.getTypeParser(oid, format)) as typeof pg.types.getTypeParser,
}

export function openPostgres(
  url: string,
  onError: (error: Error) => void,
  times: DatabaseObserver | undefined,
): Opened {
  const pool = openPool(
    {
      connectionString: url,
      types,
      max: 10,
      application_name: 'latchkey',
      keepAlive: true,
      // A caller gets its answer within a second, whether that is a row or a 503: with the wait for a connection.
      connectionTimeoutMillis: 400,
      query_timeout: 550,
      statement_timeout: 550,
    },
    onError,
  )
  const db = new Kysely<Tables>({ dialect: withUnavailable(new PostgresDialect({ pool: evictingPool(pool) }), times) })
  return {
    ...withPing(db),
    now: sql<number>`(extract(epoch FROM clock_timestamp()) * 1000)::bigint`,
    forUpdate: sql`FOR UPDATE`,
    byCodePoint: sql`COLLATE "C"`,
    async migrate() {
      // On a connection of its own without the time limit: a second starter waits here on Kysely's advisory lock.
      const migrationDatabase = new Kysely<Tables>({
        dialect: withUnavailable(
          new PostgresDialect({
            // Two: while one holds the lock, the other reads what has been done.
            pool: openPool({ connectionString: url, max: 2, connectionTimeoutMillis: 5000 }, onError),
          }),
        ),
      })
      try {
        await migrateToLatest(migrationDatabase, () => executedMigrations(migrationDatabase), false)
      } finally {
        await migrationDatabase.destroy()
      }
    },
  }
}

/** SQLSTATE. */
const READ_ONLY = '25006'

/**
 * A pool whose connections may die. One that does says so by an event, which ends the process where nobody hears it: the
 * pool hears those that are idle, and of one that is at work nobody would.
 */
function openPool(config: pg.PoolConfig, onError: (error: Error) => void): pg.Pool {
  return new pg.Pool(config).on('connect', (client) => client.on('error', onError)).on('error', () => {})
}

/**
 * The pool, but that a connection is thrown away which did not answer, or leads to what is a standby now. pg would put it
 * back, and whoever came by it next would wait in vain: of one that is half open, for hours.
 */
function evictingPool(pool: pg.Pool): PostgresPool {
  return {
    end: () => pool.end(),
    async connect() {
      const client = await pool.connect()
      let isSpoilt = false
      return {
        async query(text: string, parameters: readonly unknown[]) {
          try {
            return await client.query(text, [...parameters])
          } catch (error) {
            const { code, message } = error as Error & { code?: string }
            isSpoilt ||= code === READ_ONLY || message === 'Query read timeout'
            throw error
          }
        },
        release: () => client.release(isSpoilt),
      } as unknown as PostgresPoolClient
    },
  }
}
