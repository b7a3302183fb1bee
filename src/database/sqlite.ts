import { dirname } from 'node:path'
import SqliteDatabase from 'libsql'
import { createOwnerFile, createOwnerFolder, restrictToOwner } from '../file-mode.js'
import { Unavailable } from '../unavailable.js'
import type { DatabaseObserver, MigratableDatabase } from './database.js'
import { CompiledQuery, Kysely, SqliteDialect, sql } from './kysely.js'
import { executedMigrations, migrateToLatest } from './migrate.js'
import type { Tables } from './schema.js'
import { withPing, withUnavailable } from './with-unavailable.js'

export function openSqlite(path: string, observer: DatabaseObserver | undefined): MigratableDatabase {
  let file: SqliteDatabase.Database
  try {
    createOwnerFolder(dirname(path))
    createOwnerFile(path)
    // These files hold password hashes. SQLite gives new -wal and -shm files the mode of the database file.
    for (const name of [path, `${path}-wal`, `${path}-shm`]) restrictToOwner(name)
    file = new SqliteDatabase(path)
    // Another process may hold the write lock for a moment. A caller waits at most 1 s. Milliseconds.
    file.pragma('busy_timeout = 1000')
    file.pragma('journal_mode = WAL')
    // An acknowledged change survives a power cut. In WAL mode the default syncs only at checkpoints.
    file.pragma('synchronous = FULL')
  } catch (error) {
    throw new Unavailable('database', `cannot open the SQLite database ${path}: ${(error as Error).message}`, error)
  }
  // SQLite reads its clock once in a statement.
  const now = sql<number>`CAST(unixepoch('subsec') * 1000 AS INTEGER)`
  const db = new Kysely<Tables>({ dialect: withUnavailable(new SqliteDialect({ database: file }), observer) })
  return {
    ...withPing(db),
    now,
    statementTime: now,
    forUpdate: sql``,
    byCodePoint: sql``,
    // Kysely takes no lock on SQLite. One connection takes the write lock before it reads the executed migrations, and holds
    // it until the end. A second starting process waits, then finds nothing to do.
    migrate: () =>
      db.connection().execute(async (connection) => {
        await connection.executeQuery(CompiledQuery.raw('PRAGMA busy_timeout = 30000'))
        await connection.executeQuery(CompiledQuery.raw('BEGIN IMMEDIATE'))
        try {
          // Read first, because Kysely occupies the only connection later. A new database has no such table.
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
