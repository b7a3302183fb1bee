#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { ConfigError } from '../config/read.js'
import { Unavailable } from '../unavailable.js'
import { clients } from './clients.js'
import { group } from './command.js'
import { hash } from './hash.js'
import { keys } from './keys.js'
import { migrate } from './migrate.js'
import { serve } from './serve.js'
import { sessions } from './sessions.js'
import { users } from './users.js'

const latchkey = group(
  `Latchkey, a token service. Commands work on the database and the Redis that the environment names (DATABASE_URL,
REDIS_URL): give them the environment of the service.`,
  { serve, migrate, keys, clients, users, sessions, hash },
)

const places = { database: ': check DATABASE_URL', redis: ': check REDIS_URL', hashing: '' }

const args = process.argv.slice(2)
// What reads our answer may stop reading: latchkey users list | head.
process.stdout.on('error', () => process.exit(0))
try {
  if (args[0] === '--version') {
    const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'))
    process.stdout.write(`${version}\n`)
  } else {
    const answer = await latchkey.run(args.length === 0 ? ['serve'] : args, 'latchkey')
    if (answer !== '') process.stdout.write(`${answer}\n`)
  }
} catch (error) {
  process.stderr.write(`latchkey: ${describe(error)}\n`)
  process.exitCode = 1
}

/** One line, for whoever typed the command: never a stack. */
function describe(error: unknown): string {
  if (error instanceof ConfigError) return `the configuration: ${error.faults.join('; ')}`
  const { message } = error as Error
  const check = error instanceof Unavailable ? places[error.dependency] : ''
  return `${message.split('\n').join(' ')}${check}`
}
