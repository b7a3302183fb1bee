import { readStoresConfig } from '../config/read.js'
import { command } from './command.js'

export const migrate = command({
  about: 'Bring the tables of DATABASE_URL up to date',
  details: `
The service does so itself when it starts; this is for those who want it done before. It is safe to run beside a service,
and by several at once: changes go forward only, and an older version goes on working.`,
  async run() {
    const { databaseUrl } = readStoresConfig(process.env)
    // As in rooms.ts: no other command should wait for the drivers.
    const { openDatabase } = await import('../database/database.js')
    const database = await openDatabase(databaseUrl, () => {})
    await database.close()
    return { text: 'The database is up to date.', json: { migrated: true } }
  },
})
