import { once } from 'node:events'
import { openReadyDatabase } from './ready-database.js'

// A process that opens a database on command, and reports the result.
process.stdout.write('ready\n')
await once(process.stdin, 'data')
try {
  const database = await openReadyDatabase(process.argv[2] as string)
  const { length } = await database.db.selectFrom('sessions').selectAll().execute()
  process.stdout.write(`opened ${length}\n`)
  await database.close()
  process.exit(0)
} catch (error) {
  process.stdout.write(`failed: ${(error as Error).message}\n`)
  process.exit(1)
}
