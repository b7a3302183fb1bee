import { createReadStream } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { Unavailable } from '../unavailable.js'
import { type ImportedAccount, importOutcomes, readImportedAccount } from '../users/import.js'
import type { Users } from '../users/users.js'
import { CommandError, command } from './command.js'
import { type Line, readLines } from './read-lines.js'
import { withServices } from './services.js'

/** Accounts in one statement. The statement holds the only write lock of SQLite for about 20 ms. */
const BATCH = 500
const RETRIES = 10
/** Milliseconds between two attempts while the database is busy. */
const RETRY_AFTER = 500
/** Milliseconds. */
const PROGRESS_INTERVAL = 2000

interface Counts {
  lines: number
  imported: number
  /** Accounts that an earlier run imported. */
  present: number
  rejected: number
}

export const importUsers = command({
  about: 'Import accounts with their password hashes, from a file with one JSON object per line',
  names: ['FILE'],
  details: `
FILE may be - for standard input. A line looks like this; username and password_hash are required:

  {"username":"ada","password_hash":"$2b$12$…","roles":["editor"],"disabled":false,"created_at":1700000000,
   "id":"auth0|507f","claims":{"tenant":"acme"}}

The hash may be argon2, bcrypt, scrypt or PBKDF2, as most systems write them (docs/accounts.md has the formats). The first
sign-in to an account replaces its hash by argon2id.

The command skips a line that it cannot import, and prints its number and the reason to standard error. It imports the other
lines. With --json these messages are objects. The exit status is 1 if a line was skipped.

If an import was interrupted, run it again with the same FILE: it does not change accounts that exist.`,
  async run({ names: [file], json }) {
    const counts = await withServices(({ users }) => importAll(file, users, createReporter(json)))
    if (counts.rejected > 0) process.exitCode = 1
    return { text: describe(counts), json: counts }
  },
})

interface Reporter {
  progress(counts: Counts): void
  rejected(line: number, reason: string): void
}

function createReporter(json: boolean): Reporter {
  const print = (text: string) => process.stderr.write(`${text}\n`)
  return {
    progress: (counts) => print(json ? JSON.stringify(counts) : describe(counts)),
    rejected: (line, reason) => print(json ? JSON.stringify({ line, reason }) : `line ${line}: ${reason}`),
  }
}

async function importAll(file: string, users: Users, report: Reporter): Promise<Counts> {
  const counts: Counts = { lines: 0, imported: 0, present: 0, rejected: 0 }
  let batch: { line: number; account: ImportedAccount }[] = []
  let reportedAt = Date.now()

  const reject = (line: number, reason: string) => {
    counts.rejected += 1
    report.rejected(line, reason)
  }

  async function flush(): Promise<void> {
    const outcomes = await importBatch(
      users,
      batch.map(({ account }) => account),
    )
    for (const [index, outcome] of outcomes.entries()) {
      if (outcome === 'imported' || outcome === 'present') counts[outcome] += 1
      else reject((batch[index] as { line: number }).line, importOutcomes[outcome])
    }
    batch = []
  }

  for await (const { number, text } of read(file)) {
    if (text === '') continue
    counts.lines += 1
    const account = typeof text === 'string' ? readAccount(text) : text.fault
    if (typeof account === 'string') reject(number, account)
    else batch.push({ line: number, account })
    if (batch.length === BATCH) await flush()
    if (Date.now() - reportedAt > PROGRESS_INTERVAL) {
      reportedAt = Date.now()
      report.progress(counts)
    }
  }
  await flush()
  return counts
}

async function* read(file: string): AsyncGenerator<Line> {
  try {
    yield* readLines(file === '-' ? process.stdin : createReadStream(file))
  } catch (error) {
    const { code, syscall } = error as NodeJS.ErrnoException
    if (syscall === undefined) throw error
    throw new CommandError(`${file} cannot be read: ${code}`)
  }
}

function readAccount(text: string): ImportedAccount | string {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return 'it is not JSON'
  }
  return readImportedAccount(value)
}

/** Retries while a service holds the write lock of the database. */
async function importBatch(users: Users, accounts: readonly ImportedAccount[]) {
  for (let retry = 0; ; retry += 1) {
    try {
      return await users.import(accounts)
    } catch (error) {
      if (!(error instanceof Unavailable) || retry === RETRIES) throw error
      await sleep(RETRY_AFTER)
    }
  }
}

function describe({ lines, imported, present, rejected }: Counts): string {
  return `${lines} lines: ${imported} imported, ${present} already present, ${rejected} skipped`
}
