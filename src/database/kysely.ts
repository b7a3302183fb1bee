import { createRequire } from 'node:module'

/**
 * Kysely's CommonJS build, not its ES modules: of 260 files Node takes 70 ms and 10 MB more of each start for those. Whoever
 * wants a type alone takes it from the package.
 */
export const { CompiledQuery, Kysely, Migrator, PostgresAdapter, PostgresDialect, SqliteDialect, sql } = createRequire(
  import.meta.url,
)('kysely') as typeof import('kysely')
export type Kysely<Tables> = import('kysely').Kysely<Tables>
