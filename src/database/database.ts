import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import {
  CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  Kysely,
  Migrator,
  PostgresDialect,
  type RawBuilder,
  SqliteDialect,
  sql,
} from 'kysely'
import SqliteDatabase from 'libsql'
import pg from 'pg'
import { Unavailable } from '../unavailable.js'
import { migrations } from './migrations.js'
import type { Tables } from './schema.js'

export interface Database {
  readonly db: Kysely<Tables>
  /** Unix milliseconds on the database's own clock, as an SQL expression: replicas of the service share it. */
  readonly now: RawBuilder<number>
  /** What ends a `SELECT` whose rows are changed next, so that they are locked in its order. SQLite has one writer. */
  readonly forUpdate: RawBuilder<unknown>
  /** What makes a text compare, and sort, by code points, as an index of ours does: Postgres else goes by its locale. */
  readonly byCodePoint: RawBuilder<unknown>
  /** Throws {@link Unavailable} when the database does not answer. */
  ping(): Promise<void>
  close(): Promise<void>
}

/**
 * Opens `sqlite:PATH` or `postgres://…` and brings its tables up to date. Any number of processes may do so at once.
 *
 * Whatever the database throws is an {@link Unavailable}: no query here can fail on its input.
 */
export async function openDatabase(url: string, onError: (error: Error) => void): Promise<Database> {
  const database = url.startsWith('sqlite:') ? openSqlite(url.slice('sqlite:'.length)) : openPostgres(url, onError)
  try {
    await database.migrate()
  } catch (error) {
    await database.close().catch(() => {})
    throw error
  }
  return database
}

interface Opened extends Database {
  migrate(): Promise<void>
}

function openSqlite(path: string): Opened {
  let file: SqliteDatabase.Database
  try {
    mkdirSync(dirname(path), { recursive: true })
    file = new SqliteDatabase(path)
    // A second process may hold the write lock for a moment: wait for it, but for no longer than a caller would.
    file.pragma('busy_timeout = 1000')
    file.pragma('journal_mode = WAL')
    // What has been acknowledged outlives a power cut: WAL alone syncs at checkpoints.
    file.pragma('synchronous = FULL')
  } catch (error) {
    throw new Unavailable('database', `cannot open the SQLite database ${path}: ${(error as Error).message}`, error)
  }
  const db = new Kysely<Tables>({ dialect: guarded(new SqliteDialect({ database: file })) })
  return {
    ...common(db),
    now: sql<number>`CAST(unixepoch('subsec') * 1000 AS INTEGER)`,
    forUpdate: sql``,
    byCodePoint: sql``,
    // Kysely takes no lock on SQLite. One connection holds the write lock around the whole run, from before it reads
    // what has been done: a second starter waits, then finds nothing to do.
    migrate: () =>
      db.connection().execute(async (connection) => {
        await connection.executeQuery(CompiledQuery.raw('PRAGMA busy_timeout = 30000'))
        await connection.executeQuery(CompiledQuery.raw('BEGIN IMMEDIATE'))
        try {
          await migrateToLatest(connection, true)
          await connection.executeQuery(CompiledQuery.raw('COMMIT'))
        } catch (error) {
          await connection.executeQuery(CompiledQuery.raw('ROLLBACK'))
          throw error
        } finally {
          await connection.executeQuery(CompiledQuery.raw('PRAGMA busy_timeout = 1000'))
        }
      }),
  }
}

// int8 arrives as text, for it may be past 2^53: ours are times and counters, which are not.
const types: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: 'text' | 'binary') =>
    oid === pg.types.builtins.INT8 ? Number : pg.types.getTypeParser(oid, format)) as typeof pg.types.getTypeParser,
}

function openPostgres(url: string, onError: (error: Error) => void): Opened {
  const pool = openPool(
    {
      connectionString: url,
      types,
      max: 10,
      application_name: 'latchkey',
      keepAlive: true,
      // A caller gets its answer within a second, whether that is a row or a 503.
      connectionTimeoutMillis: 800,
      query_timeout: 1000,
      statement_timeout: 1000,
    },
    onError,
  )
  const db = new Kysely<Tables>({ dialect: guarded(new PostgresDialect({ pool })) })
  return {
    ...common(db),
    now: sql<number>`(extract(epoch FROM clock_timestamp()) * 1000)::bigint`,
    forUpdate: sql`FOR UPDATE`,
    byCodePoint: sql`COLLATE "C"`,
    async migrate() {
      // On a connection of its own without the time limit: a second starter waits here on Kysely's advisory lock.
      const patient = new Kysely<Tables>({
        dialect: guarded(
          new PostgresDialect({
            pool: openPool({ connectionString: url, max: 1, connectionTimeoutMillis: 5000 }, onError),
          }),
        ),
      })
      try {
        await migrateToLatest(patient, false)
      } finally {
        await patient.destroy()
      }
    },
  }
}

/**
 * A pool whose connections may die. One that does says so by an event, which ends the process where nobody hears it: the
 * pool hears those that are idle, and of one that is at work nobody would.
 */
function openPool(config: pg.PoolConfig, onError: (error: Error) => void): pg.Pool {
  return new pg.Pool(config).on('connect', (client) => client.on('error', onError)).on('error', () => {})
}

function common(db: Kysely<Tables>) {
  return {
    db,
    ping: async () => void (await sql`SELECT 1`.execute(db)),
    close: () => db.destroy(),
  }
}

async function migrateToLatest(db: Kysely<Tables>, disableTransactions: boolean): Promise<void> {
  const migrator = new Migrator({
    db,
    provider: { getMigrations: async () => migrations },
    disableTransactions,
  })
  const { error } = await migrator.migrateToLatest()
  if (error) throw error
}

/** The dialect, with every failure of a query or a connection turned into {@link Unavailable}. */
function guarded(dialect: Dialect): Dialect {
  return {
    createAdapter: () => dialect.createAdapter(),
    createIntrospector: (db) => dialect.createIntrospector(db),
    createQueryCompiler: () => dialect.createQueryCompiler(),
    createDriver: () => guardedDriver(dialect.createDriver()),
  }
}

function guardedDriver(driver: Driver): Driver {
  const guard = async <Result>(act: () => Promise<Result>): Promise<Result> => {
    try {
      return await act()
    } catch (error) {
      throw new Unavailable('database', `the database failed: ${(error as Error).message}`, error)
    }
  }
  const guardedConnections = new WeakMap<DatabaseConnection, DatabaseConnection>()
  const originals = new WeakMap<DatabaseConnection, DatabaseConnection>()
  const original = (connection: DatabaseConnection) => originals.get(connection) ?? connection
  return {
    init: () => guard(() => driver.init()),
    async acquireConnection() {
      const connection = await guard(() => driver.acquireConnection())
      let wrapped = guardedConnections.get(connection)
      if (!wrapped) {
        wrapped = {
          executeQuery: (query) => guard(() => connection.executeQuery(query)),
          streamQuery: (query, size) => connection.streamQuery(query, size),
        }
        guardedConnections.set(connection, wrapped)
        originals.set(wrapped, connection)
      }
      return wrapped
    },
    beginTransaction: (connection, options) => guard(() => driver.beginTransaction(original(connection), options)),
    commitTransaction: (connection) => guard(() => driver.commitTransaction(original(connection))),
    rollbackTransaction: (connection) => guard(() => driver.rollbackTransaction(original(connection))),
    releaseConnection: (connection) => driver.releaseConnection(original(connection)),
    destroy: () => driver.destroy(),
  }
}
