import type { Database } from '../../src/database/database.js'
import { openDatabase } from '../../src/database/open.js'
import { untilItSucceeds } from './eventually.js'

/** Opens a database, and waits until it answers. On a busy machine the first connection may exceed its 400 ms. */
export async function openReadyDatabase(url: string): Promise<Database> {
  const database = await openDatabase(url, () => {})
  await untilItSucceeds(() => database.ping())
  return database
}

/** Whether a process ended because its first connection to Postgres exceeded its 400 ms. Nothing was done then. */
export const wasConnectionLate = (output: string): boolean =>
  /connection timeout|trying to connect|timeout expired/.test(output)
