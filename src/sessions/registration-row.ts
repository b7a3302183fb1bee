import type { Database } from '../database/database.js'
import type { SessionStoreRow } from '../database/schema.js'

/** The values of a registration. The table has one row at most. */
type NewRegistrationRow = Omit<SessionStoreRow, 'one'>

/** The row of the table `session_store`. Each method is one statement. */
interface RegistrationRow {
  read(): Promise<SessionStoreRow | undefined>
  /** Returns false if another process has inserted a row before. */
  insert(row: NewRegistrationRow): Promise<boolean>
  /** Returns false if another process has replaced the row, or if an instance has answered the question in it. */
  replace(before: SessionStoreRow, row: NewRegistrationRow): Promise<boolean>
  /** Returns false if another process has replaced the row since. */
  markReady(id: string): Promise<boolean>
  setAddress(id: string, address: string): Promise<void>
  /** Writes a question into the row. Returns false if the row holds another question. */
  ask(id: string, question: string): Promise<boolean>
  /** Deletes the question: a running instance says that it uses the registered store. */
  answer(row: SessionStoreRow): Promise<void>
}

export function createRegistrationRow({ db }: Database): RegistrationRow {
  return {
    read: () => db.selectFrom('session_store').selectAll().executeTakeFirst(),

    async insert(row) {
      const { numInsertedOrUpdatedRows } = await db
        .insertInto('session_store')
        .values({ one: 1, ...row })
        .onConflict((conflict) => conflict.column('one').doNothing())
        .executeTakeFirst()
      return (numInsertedOrUpdatedRows ?? 0n) > 0n
    },

    async replace(before, row) {
      const { numUpdatedRows } = await db
        .updateTable('session_store')
        .set(row)
        .where('id', '=', before.id)
        .where('question', '=', before.question)
        .executeTakeFirst()
      return numUpdatedRows > 0n
    },

    async markReady(id) {
      const { numUpdatedRows } = await db
        .updateTable('session_store')
        .set({ ready: 1 })
        .where('id', '=', id)
        .executeTakeFirst()
      return numUpdatedRows > 0n
    },

    async setAddress(id, address) {
      await db.updateTable('session_store').set({ address }).where('id', '=', id).execute()
    },

    async ask(id, question) {
      const { numUpdatedRows } = await db
        .updateTable('session_store')
        .set({ question })
        .where('id', '=', id)
        .where('question', '=', '')
        .executeTakeFirst()
      return numUpdatedRows > 0n
    },

    async answer({ id, question }) {
      await db
        .updateTable('session_store')
        .set({ question: '' })
        .where('id', '=', id)
        .where('question', '=', question)
        .execute()
    },
  }
}
