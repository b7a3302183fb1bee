import { inTransaction } from '../database/conflicts.js'
import type { Database } from '../database/database.js'
import { type Kysely, sql } from '../database/kysely.js'
import type { Tables } from '../database/schema.js'
import type { Tickets, UsableTicket } from '../tickets/tickets.js'
import type { CodeOutcome, FactorChange } from './factor.js'

/**
 * Runs a change in a transaction that holds the account's row, and then writes the number of factors into it.
 *
 * @param act returns undefined if it found nothing to change: then nothing changes
 */
export async function changeFactors<Success extends object>(
  db: Database['db'],
  owner: { id: string; factorsVersion?: number },
  act: (transaction: Kysely<Tables>, factors: number) => Promise<Success | undefined>,
): Promise<FactorChange<Success>> {
  try {
    return await inTransaction(db, async (transaction) => {
      let lock = transaction
        .updateTable('users')
        .set({ factors_version: sql<number>`factors_version + 1` })
        .where('id', '=', owner.id)
      if (owner.factorsVersion !== undefined) lock = lock.where('factors_version', '=', owner.factorsVersion)
      const locked = await lock.returning('factors').executeTakeFirst()
      if (!locked) return { outcome: 'conflict' }
      const success = await act(transaction, locked.factors)
      if (!success) throw new NothingChanged()
      await transaction
        .updateTable('users')
        .set({
          factors: sql<number>`(SELECT count(*) FROM factors WHERE sub = ${owner.id} AND confirmed_at IS NOT NULL)`,
        })
        .where('id', '=', owner.id)
        .execute()
      return { outcome: 'changed', ...success }
    })
  } catch (error) {
    if (error instanceof NothingChanged) return { outcome: 'not_found' }
    throw error
  }
}

/**
 * Uses a code, and the ticket that came with the code. Either both are used, or none.
 *
 * @param useCode returns whether the code was good
 */
export async function useWithTicket(
  db: Database['db'],
  tickets: Pick<Tickets, 'use'> | undefined,
  ticket: UsableTicket | undefined,
  useCode: (transaction: Kysely<Tables>) => Promise<boolean>,
): Promise<CodeOutcome> {
  if (!ticket) return (await useCode(db)) ? 'accepted' : 'wrong'
  try {
    return await inTransaction(db, async (transaction) => {
      // The ticket comes first: with a used ticket, the answer must not depend on the code.
      if (!(await tickets?.use(ticket, transaction))) return 'ticket_used'
      if (!(await useCode(transaction))) throw new NothingChanged()
      return 'accepted'
    })
  } catch (error) {
    if (error instanceof NothingChanged) return 'wrong'
    throw error
  }
}

/** Rolls a transaction back that found nothing to change. */
class NothingChanged extends Error {}
