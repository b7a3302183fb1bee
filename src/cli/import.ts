import { createReadStream } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { Unavailable } from '../unavailable.js'
import { type ImportedAccount, importOutcomes, readImportedAccount } from '../users/import.js'
import type { Users } from '../users/users.js'
import { CommandError, command } from './command.js'
import { type Line, linesOf } from './lines.js'
import { withServices } from './services.js'

/** Accounts in one statement, which holds the only write lock of SQLite for some 20 ms. */
const BATCH = 500
/** How often a busy database is asked again, and how long after, in milliseconds. */
const RETRIES = 10
const RETRY_AFTER = 500
const PROGRESS_INTERVAL = 2000

interface Counts {
  lines: number
  imported: number
  /** Imported by an earlier run. */
  present: number
  rejected: number
}

export const importUsers = command({
  about: 'Import accounts with their password hashes, from a file with a JSON object a line',
  names: ['FILE'],
  details: `
FILE may be - for standard input. A line, of which username and password_hash must be there:

  {"username":"ada","password_hash":"$2b$12$…","roles":["editor"],"disabled":false,"created_at":1700000000,"id":"UUID"}

Hashes of argon2, bcrypt, scrypt and PBKDF2 are taken (docs/accounts.md has the formats), and replaced by argon2id at each
account's first sign-in.

A line that cannot be taken is told by its number, with the reason, and left out; the others are imported. What is told goes
to standard error, with --json as objects. The status is 1 if any was left out.

Stopped in the middle, by whatever, it can be run again with the same FILE: accounts that are there already stay as they
are.`,
  async run({ names: [file], json }) {
    const counts = await withServices(({ users }) => importAll(file, users, reporter(json)))
    if (counts.rejected > 0) process.exitCode = 1
    return { text: describe(counts), json: counts }
  },
})

interface Reporter {
  progress(counts: Counts): void
  rejected(line: number, reason: string): void
}

function reporter(json: boolean): Reporter {
  const say = (text: string) => process.stderr.write(`${text}\n`)
  return {
    progress: (counts) => say(json ? JSON.stringify(counts) : describe(counts)),
    rejected: (line, reason) => say(json ? JSON.stringify({ line, reason }) : `line ${line}: ${reason}`),
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
    yield* linesOf(file === '-' ? process.stdin : createReadStream(file))
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
    return 'it is no JSON'
  }
  return readImportedAccount(value)
}

/** The service may hold the database for a moment. */
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
  return `${lines} lines: ${imported} imported, ${present} there already, ${rejected} left out`
}
