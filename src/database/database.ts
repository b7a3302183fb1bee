import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  Kysely,
  Migrator,
  PostgresDialect,
  type PostgresPool,
  type PostgresPoolClient,
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

/** Told of each query and each wait for a connection, in milliseconds. */
export interface DatabaseTimes {
  queried(milliseconds: number): void
  connected(milliseconds: number): void
  failed(): void
}

/**
 * Opens `sqlite:PATH` or `postgres://…` and brings its tables up to date. Any number of processes may do so at once.
 *
 * Whatever the database throws is an {@link Unavailable}: no query here can fail on its input.
 */
export async function openDatabase(
  url: string,
  onError: (error: Error) => void,
  times?: DatabaseTimes,
): Promise<Database> {
  const database = url.startsWith('sqlite:')
    ? openSqlite(url.slice('sqlite:'.length), times)
    : openPostgres(url, onError, times)
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

function openSqlite(path: string, times: DatabaseTimes | undefined): Opened {
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
  const db = new Kysely<Tables>({ dialect: guarded(new SqliteDialect({ database: file }), times) })
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
          // Read before: Kysely has the connection to itself meanwhile. Where there is no table yet, there is nothing in it.
          const executed = await executedMigrations(connection).catch(() => [])
          await migrateToLatest(connection, async () => executed, true)
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

function openPostgres(url: string, onError: (error: Error) => void, times: DatabaseTimes | undefined): Opened {
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
  const db = new Kysely<Tables>({ dialect: guarded(new PostgresDialect({ pool: wary(pool) }), times) })
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
            // Two: while one holds the lock, the other reads what has been done.
            pool: openPool({ connectionString: url, max: 2, connectionTimeoutMillis: 5000 }, onError),
          }),
        ),
      })
      try {
        await migrateToLatest(patient, () => executedMigrations(patient), false)
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

/**
 * The pool, but that a connection is thrown away which did not answer, or leads to what is a standby now. pg would put it
 * back, and whoever came by it next would wait in vain: of one that is half open, for hours.
 */
function wary(pool: pg.Pool): PostgresPool {
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

/** SQLSTATEs. */
const READ_ONLY = '25006'
/** Of two that were in each other's way Postgres has undone this one, as if it had never been: it may run again. */
const UNDONE = ['40001', '40P01']
const ATTEMPTS = 4

async function retryUndone<Result>(act: () => Promise<Result>): Promise<Result> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await act()
    } catch (error) {
      if (attempt === ATTEMPTS || !UNDONE.includes((error as { code?: string }).code ?? '')) throw error
      // Not in step with the other.
      await sleep(Math.random() * 10 * 2 ** attempt)
    }
  }
}

function common(db: Kysely<Tables>) {
  return {
    db,
    ping: async () => void (await sql`SELECT 1`.execute(db)),
    close: () => db.destroy(),
  }
}

/**
 * @param executed the names of the migrations that the tables have had
 */
async function migrateToLatest(
  db: Kysely<Tables>,
  executed: () => Promise<string[]>,
  disableTransactions: boolean,
): Promise<void> {
  const migrator = new Migrator({
    db,
    provider: {
      // Those that a newer version has made, and that Kysely would stumble over: while replicas are replaced one by one,
      // or have to go back, an older one starts on a newer one's tables.
      async getMigrations() {
        const foreign = (await executed()).filter((name) => !(name in migrations))
        return { ...migrations, ...Object.fromEntries(foreign.map((name) => [name, { up: async () => {} }])) }
      },
    },
    disableTransactions,
  })
  const { error } = await migrator.migrateToLatest()
  if (error) throw error
}

async function executedMigrations(db: Kysely<Tables>): Promise<string[]> {
  const { rows } = await sql<{ name: string }>`SELECT name FROM kysely_migration`.execute(db)
  return rows.map(({ name }) => name)
}

/** The dialect, with every failure of a query or a connection turned into {@link Unavailable}. */
function guarded(dialect: Dialect, times?: DatabaseTimes): Dialect {
  return {
    createAdapter: () => dialect.createAdapter(),
    createIntrospector: (db) => dialect.createIntrospector(db),
    createQueryCompiler: () => dialect.createQueryCompiler(),
    createDriver: () => guardedDriver(dialect.createDriver(), times),
  }
}

function guardedDriver(driver: Driver, times: DatabaseTimes | undefined): Driver {
  const guard = async <Result>(act: () => Promise<Result>): Promise<Result> => {
    try {
      return await act()
    } catch (error) {
      times?.failed()
      throw new Unavailable('database', `the database failed: ${(error as Error).message}`, error)
    }
  }
  const timed = async <Result>(act: () => Promise<Result>, tell: ((milliseconds: number) => void) | undefined) => {
    const begin = performance.now()
    const result = await guard(act)
    tell?.(performance.now() - begin)
    return result
  }
  const guardedConnections = new WeakMap<DatabaseConnection, DatabaseConnection>()
  const inTransaction = new WeakSet<DatabaseConnection>()
  const originals = new WeakMap<DatabaseConnection, DatabaseConnection>()
  const original = (connection: DatabaseConnection) => originals.get(connection) ?? connection
  return {
    init: () => guard(() => driver.init()),
    async acquireConnection() {
      const connection = await timed(() => driver.acquireConnection(), times?.connected)
      let wrapped = guardedConnections.get(connection)
      if (!wrapped) {
        wrapped = {
          // A transaction would have to run again from its beginning: only migrations have one.
          executeQuery: (query) =>
            timed(
              () =>
                inTransaction.has(connection)
                  ? connection.executeQuery(query)
                  : retryUndone(() => connection.executeQuery(query)),
              times?.queried,
            ),
          streamQuery: (query, size) => connection.streamQuery(query, size),
        }
        guardedConnections.set(connection, wrapped)
        originals.set(wrapped, connection)
      }
      return wrapped
    },
    beginTransaction: (connection, options) => {
      inTransaction.add(original(connection))
      return guard(() => driver.beginTransaction(original(connection), options))
    },
    commitTransaction: (connection) => guard(() => driver.commitTransaction(original(connection))),
    rollbackTransaction: (connection) => guard(() => driver.rollbackTransaction(original(connection))),
    releaseConnection: (connection) => {
      inTransaction.delete(original(connection))
      return driver.releaseConnection(original(connection))
    },
    destroy: () => driver.destroy(),
  }
}
