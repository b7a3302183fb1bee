import { setTimeout as sleep } from 'node:timers/promises'
import { Unavailable } from '../unavailable.js'
import { type Kysely, PostgresAdapter, PostgresDialect, sql } from './kysely.js'
import { executedMigrations, migrateToLatest } from './migrate.js'
import type { Tables } from './schema.js'

/** Milliseconds between two questions for the lock. */
const LOCK_PAUSE = 100

/** Brings the tables up to date. Several processes may do this at once: the others wait, and then find nothing to do. */
export async function migratePostgres(db: Kysely<Tables>): Promise<void> {
  const schema = await currentSchema(db)
  while (!(await migrateIfUnlocked(db, schema))) await sleep(LOCK_PAUSE)
}

/**
 * The lock lives in a transaction. Kysely's own lock belongs to a session, and a pooler in transaction mode may give each
 * statement another session. The release would miss the lock, and the next start would wait for an hour. The number is the one
 * of Kysely, so that an older version waits too. A process that waits holds no connection of the pooler.
 *
 * @returns false if another process has the lock
 */
function migrateIfUnlocked(db: Kysely<Tables>, schema: string): Promise<boolean> {
  return db.transaction().execute(async (transaction) => {
    const { rows } = await sql<{ held: boolean }>`
      SELECT pg_try_advisory_xact_lock(3853314791062309107) AS held`.execute(transaction)
    if (!rows[0]?.held) return false
    await sql`SET LOCAL idle_in_transaction_session_timeout = 0`.execute(transaction)
    // A new database has no such table.
    const executed = await executedMigrations(db).catch(() => [])
    await migrateToLatest(db, async () => executed, false, schema)
    return true
  })
}

/**
 * The first schema of the search path. Otherwise Kysely would take its table in another schema for ours.
 *
 * @throws {Unavailable} if no schema of the path exists for this role: Postgres would only say that a table does not exist
 */
async function currentSchema(db: Kysely<Tables>): Promise<string> {
  const { rows } = await sql<{ schema: string | null; path: string; role: string }>`
    SELECT current_schema() AS schema, current_setting('search_path') AS path, current_user AS role`.execute(db)
  const { schema = null, path = '', role = '' } = rows[0] ?? {}
  if (schema !== null) return schema
  const first = path.split(',')[0]
  throw new Unavailable(
    'database',
    `the role ${role} can use no schema of its search path (${path}): ` +
      `run CREATE SCHEMA ${first} AUTHORIZATION ${role}, or GRANT USAGE, CREATE ON SCHEMA ${first} TO ${role}`,
  )
}

/** Takes no lock, because {@link migratePostgres} has it. */
export class MigrationDialect extends PostgresDialect {
  override createAdapter() {
    return new UnlockedAdapter()
  }
}

class UnlockedAdapter extends PostgresAdapter {
  override async acquireMigrationLock(): Promise<void> {}
  override async releaseMigrationLock(): Promise<void> {}
}
