import { setTimeout as sleep } from 'node:timers/promises'
import { Unavailable } from '../unavailable.js'
import type { Kysely } from './kysely.js'
import type { Tables } from './schema.js'

/** SQLSTATEs of serialization failures and deadlocks: Postgres has undone the statement or the transaction, so it may run again. */
const RETRYABLE = ['40001', '40P01']
const ATTEMPTS = 4

/** Runs a statement or a transaction, and runs it again after a conflict with another one. */
export async function retryConflicts<Result>(act: () => Promise<Result>): Promise<Result> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await act()
    } catch (error) {
      const { code = '' } = ((error instanceof Unavailable ? error.cause : error) ?? {}) as { code?: string }
      if (attempt === ATTEMPTS || !RETRYABLE.includes(code)) throw error
      // A random wait, so that the two do not collide again.
      await sleep(Math.random() * 10 * 2 ** attempt)
    }
  }
}

/** Runs a transaction. @param act must change nothing but the database: after a conflict it runs again from its beginning */
export function inTransaction<Result>(
  db: Kysely<Tables>,
  act: (transaction: Kysely<Tables>) => Promise<Result>,
): Promise<Result> {
  return retryConflicts(() => db.transaction().execute(act))
}
