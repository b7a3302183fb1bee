#!/usr/bin/env node
import { ConfigError } from '../config/read.js'
import { Unavailable } from '../unavailable.js'
import { readVersion } from '../version.js'
import { clients } from './clients.js'
import { type Command, group, UsageError } from './command.js'
import { completion } from './completion.js'
import { hash } from './hash.js'
import { issuers } from './issuers.js'
import { keys } from './keys.js'
import { migrate } from './migrate.js'
import { secrets } from './secrets.js'
import { serve } from './serve.js'
import { sessions } from './sessions.js'
import { users } from './users.js'

const latchkey: Command = group(
  `Latchkey, a token service. Commands use the database and the Redis of the environment (DATABASE_URL, REDIS_URL).
Run them with the environment of the service.`,
  {
    serve,
    migrate,
    keys,
    clients,
    issuers,
    users,
    sessions,
    secrets,
    hash,
    completion: completion(() => latchkey),
  },
)

const hints = {
  database: ': check DATABASE_URL',
  redis: ': check REDIS_URL',
  hashing: '',
  data_secret: ': check DATA_SECRET',
}

const args = process.argv.slice(2)
// The reader of the output may stop reading: latchkey users list | head.
process.stdout.on('error', () => process.exit(0))
try {
  if (args[0] === '--version') {
    process.stdout.write(`${readVersion()}\n`)
  } else {
    const answer = await latchkey.run(args.length === 0 ? ['serve'] : args, 'latchkey')
    if (answer !== '') process.stdout.write(`${answer}\n`)
  }
} catch (error) {
  const isUsage = error instanceof UsageError
  const text = describe(error)
  const json = { error: isUsage ? 'usage' : 'failed', error_description: text }
  process.stderr.write(args.includes('--json') ? `${JSON.stringify(json)}\n` : `latchkey: ${text}\n`)
  process.exitCode = isUsage ? 2 : 1
}

/** One line for the person at the terminal, without a stack trace. */
function describe(error: unknown): string {
  if (error instanceof ConfigError) return `the configuration has faults: ${error.faults.join('; ')}`
  const { message } = error as Error
  const hint = error instanceof Unavailable ? hints[error.dependency] : ''
  return `${message.split('\n').join(' ')}${hint}`
}
