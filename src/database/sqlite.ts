import { dirname } from 'node:path'
import LibsqlDatabase from 'libsql'
import { createOwnerFile, createOwnerFolder, restrictToOwner } from '../file-mode.js'
import { Unavailable } from '../unavailable.js'
import type { DatabaseObserver, MigratableDatabase } from './database.js'
import { CompiledQuery, Kysely, type SqliteDatabase, SqliteDialect, type SqliteStatement, sql } from './kysely.js'
import { executedMigrations, migrateToLatest } from './migrate.js'
import type { Tables } from './schema.js'
import { withPing, withUnavailable } from './with-unavailable.js'

export function openSqlite(path: string, observer: DatabaseObserver | undefined): MigratableDatabase {
  let file: LibsqlDatabase.Database
  try {
    createOwnerFolder(dirname(path))
    createOwnerFile(path)
    // These files hold password hashes. SQLite gives new -wal and -shm files the mode of the database file.
    for (const name of [path, `${path}-wal`, `${path}-shm`]) restrictToOwner(name)
    file = new LibsqlDatabase(path)
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
  const db = new Kysely<Tables>({
    dialect: withUnavailable(new SqliteDialect({ database: withLockFirst(file) }), observer),
  })
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

const TRANSACTION = /^\s*(begin|commit|rollback)\b/i
const CHANGE = /^\s*(insert|update|delete|create|alter|drop)\b/i

/**
 * Takes the write lock before each change and each transaction, by `exec`. A statement that waits in vain for the lock stays in
 * progress in this driver until the garbage collector finds it (tursodatabase/libsql-client-ts#352). Until then the connection
 * can commit no transaction, and once another process has written, it can write nothing. `exec` leaves no statement behind.
 */
function withLockFirst(file: LibsqlDatabase.Database): SqliteDatabase {
  const command = (text: string): SqliteStatement => ({
    reader: false,
    run() {
      file.exec(text)
      return { changes: 0, lastInsertRowid: 0 }
    },
    all: () => [],
    iterate: () => [].values(),
  })

  function inTransaction<Result>(act: () => Result): Result {
    file.exec('BEGIN IMMEDIATE')
    try {
      const result = act()
      file.exec('COMMIT')
      return result
    } catch (error) {
      if (file.inTransaction) file.exec('ROLLBACK')
      throw error
    }
  }

  return {
    close: () => void file.close(),
    prepare(text) {
      // Kysely writes `begin`. Every transaction of this service changes something.
      if (TRANSACTION.test(text)) return command(/^begin$/i.test(text) ? 'BEGIN IMMEDIATE' : text)
      const statement = file.prepare(text) as SqliteStatement
      if (file.inTransaction || !CHANGE.test(text)) return statement
      return {
        reader: statement.reader,
        all: (parameters) => inTransaction(() => statement.all(parameters)),
        run: (parameters) => inTransaction(() => statement.run(parameters)),
        iterate: (parameters) => statement.iterate(parameters),
      }
    },
  }
}
