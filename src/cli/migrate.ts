import { readStoresConfig } from '../config/read.js'
import { command } from './command.js'

export const migrate = command({
  about: 'Bring the tables of DATABASE_URL up to date',
  details: `
The service does this itself when it starts. Use this command to migrate before a deployment. It is safe beside a running
service, and several may run at once. Migrations only go forward, and an older version keeps working.`,
  async run() {
    const { databaseUrl } = readStoresConfig(process.env)
    // Loaded here so that no other command waits for the drivers (see services.ts).
    const { openDatabase } = await import('../database/open.js')
    const database = await openDatabase(databaseUrl, () => {})
    await database.close()
    return { text: 'The database is up to date.', json: { migrated: true } }
  },
})
