import type { Database } from '../database/database.js'
import { sql } from '../database/kysely.js'
import { type SingleUse, USE_RETENTION } from './session.js'

/** Records a use, and returns whether it is the first one. One statement, so that of several callers one inserts the row. */
export async function useSqlOnce({ db, now }: Database, { id, deadline }: SingleUse): Promise<boolean> {
  const { numInsertedOrUpdatedRows } = await db
    .insertInto('single_uses')
    .columns(['id', 'expires_at'])
    .expression(
      sql<{
        id: string
        expires_at: number
      }>`SELECT ${id}, ${sql.lit(deadline + USE_RETENTION)} WHERE ${sql.lit(deadline)} > ${now}`,
    )
    .onConflict((conflict) => conflict.column('id').doNothing())
    .executeTakeFirstOrThrow()
  return (numInsertedOrUpdatedRows ?? 0n) > 0n
}
