import { dirname } from 'node:path'
import { CompiledQuery, Kysely, SqliteDialect, sql } from 'kysely'
import SqliteDatabase from 'libsql'
import { createOwnerFile, createOwnerFolder, restrictToOwner } from '../file-mode.js'
import { Unavailable } from '../unavailable.js'
import type { DatabaseObserver, Opened } from './database.js'
import { executedMigrations, migrateToLatest } from './migrate.js'
import type { Tables } from './schema.js'
import { withPing, withUnavailable } from './with-unavailable.js'

export function openSqlite(path: string, times: DatabaseObserver | undefined): Opened {
  let file: SqliteDatabase.Database
  try {
    createOwnerFolder(dirname(path))
    createOwnerFile(path)
    // Password hashes are in these files. SQLite gives new -wal and -shm files the mode of the database file.
    for (const name of [path, `${path}-wal`, `${path}-shm`]) restrictToOwner(name)
    file = new SqliteDatabase(path)
    // A second process may hold the write lock for a moment: wait for it, but for no longer than a caller would.
    file.pragma('busy_timeout = 1000')
    file.pragma('journal_mode = WAL')
    // What has been acknowledged outlives a power cut: WAL alone syncs at checkpoints.
    file.pragma('synchronous = FULL')
  } catch (error) {
    throw new Unavailable('database', `cannot open the SQLite database ${path}: ${(error as Error).message}`, error)
  }
  const db = new Kysely<Tables>({ dialect: withUnavailable(new SqliteDialect({ database: file }), times) })
  return {
    ...withPing(db),
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
