import { type Kysely, Migrator, sql } from './kysely.js'
import { migrations } from './migrations.js'
import type { Tables } from './schema.js'

/**
 * Runs the migrations that the tables have not had.
 *
 * @param executed returns the names of the migrations that the tables have had
 * @param schema the schema of the tables. Undefined: the database has one
 */
export async function migrateToLatest(
  db: Kysely<Tables>,
  executed: () => Promise<string[]>,
  disableTransactions: boolean,
  schema?: string,
): Promise<void> {
  const migrator = new Migrator({
    db,
    provider: {
      // Kysely refuses a migration that it does not know. An older version must start on the tables of a newer one, during a
      // rolling update or after a rollback.
      async getMigrations() {
        const foreign = (await executed()).filter((name) => !(name in migrations))
        return { ...migrations, ...Object.fromEntries(foreign.map((name) => [name, { up: async () => {} }])) }
      },
    },
    disableTransactions,
    ...(schema !== undefined && { migrationTableSchema: schema }),
  })
  const { error } = await migrator.migrateToLatest()
  if (error) throw error
}

export async function executedMigrations(db: Kysely<Tables>): Promise<string[]> {
  const { rows } = await sql<{ name: string }>`SELECT name FROM kysely_migration`.execute(db)
  return rows.map(({ name }) => name)
}
