import { createReadStream } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { readDataSecrets } from '../config/read.js'
import type { Sealing } from '../factors/sealing.js'
import type { ImportedFactors } from '../factors/transfer.js'
import { Unavailable } from '../unavailable.js'
import { type ImportedAccount, importOutcomes, readImportedAccount } from '../users/import.js'
import { CommandError, command } from './command.js'
import { type Line, readLines } from './read-lines.js'
import { type Services, withServices } from './services.js'

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
  options: {
    'without-factors': {
      type: 'boolean',
      about: 'import no second factor: an account that has one must enrol another at its next sign-in',
    },
  },
  details: `
FILE may be - for standard input. A line looks like this; username and password_hash are required:

  {"username":"ada","password_hash":"$2b$12$…","roles":["editor"],"disabled":false,"created_at":1700000000,
   "id":"auth0|507f","claims":{"tenant":"acme"}}

The hash may be argon2, bcrypt, scrypt or PBKDF2, as most systems write them (docs/accounts.md has the formats). The first
sign-in to an account replaces its hash by argon2id.

Lines of users export may have factors and recovery_codes too. For secrets of authenticator apps set DATA_SECRET as the old
service has it, or to NEW,OLD if the new service has another.

The command skips a line that it cannot import, and prints its number and the reason to standard error. It imports the other
lines. With --json these messages are objects. The exit status is 1 if a line was skipped.

If an import was interrupted, run it again with the same FILE: it does not change accounts that exist.`,
  async run({ names: [file], options, json }) {
    const rules = { withoutFactors: options['without-factors'] === true, sealing: await openSealing() }
    const counts = await withServices((services) => importAll(file, services, rules, createReporter(json)), 'create')
    if (counts.rejected > 0) process.exitCode = 1
    // One line: a million lines would be as long as the export.
    const { imported } = counts
    return { text: describe(counts), json: counts, audit: imported > 0 ? [{ event: 'users.imported', imported }] : [] }
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

interface Rules {
  withoutFactors: boolean
  /** Undefined: DATA_SECRET is not set. */
  sealing: Sealing | undefined
}

interface Account {
  line: number
  account: ImportedAccount
  factors: ImportedFactors
}

async function openSealing(): Promise<Sealing | undefined> {
  if (!process.env.DATA_SECRET && !process.env.DATA_SECRET_FILE) return undefined
  const { createSealing } = await import('../factors/sealing.js')
  return createSealing(readDataSecrets(process.env))
}

async function importAll(file: string, services: Services, rules: Rules, report: Reporter): Promise<Counts> {
  // Loaded here: --help needs no database.
  const transfer = await import('../factors/transfer.js')
  const counts: Counts = { lines: 0, imported: 0, present: 0, rejected: 0 }
  let batch: Account[] = []
  let reportedAt = Date.now()

  const reject = (line: number, reason: string) => {
    counts.rejected += 1
    report.rejected(line, reason)
  }

  async function flush(): Promise<void> {
    const { factorsTaken, outcomes, imported } = await retrying(() => importBatch(services, transfer, batch))
    for (const { line } of factorsTaken) reject(line, 'another account has one of its factors')
    for (const [index, outcome] of outcomes.entries()) {
      if (outcome === 'imported' || outcome === 'present') counts[outcome] += 1
      else reject((imported[index] as Account).line, importOutcomes[outcome])
    }
    batch = []
  }

  for await (const { number, text } of read(file)) {
    if (text === '') continue
    counts.lines += 1
    const read = typeof text === 'string' ? readAccount(text, rules, transfer) : text.fault
    if (typeof read === 'string') reject(number, read)
    else batch.push({ line: number, ...read })
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

type Transfer = typeof import('../factors/transfer.js')

function readAccount(text: string, rules: Rules, transfer: Transfer): Omit<Account, 'line'> | string {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return 'it is not JSON'
  }
  const account = readImportedAccount(value)
  if (typeof account === 'string') return account
  if (rules.withoutFactors) {
    const { factors } = value as { factors?: unknown }
    // Its password alone never opened the account, and does not now.
    const mfaRequired = account.mfaRequired || (Array.isArray(factors) && factors.length > 0)
    return { account: { ...account, mfaRequired }, factors: { factors: [], recoveryCodes: [] } }
  }
  const factors = transfer.readImportedFactors(value, account.id, rules.sealing)
  return typeof factors === 'string' ? factors : { account, factors }
}

/** Adds the accounts with their factors in one transaction. */
async function importBatch({ users, database }: Services, transfer: Transfer, batch: readonly Account[]) {
  const factors = batch.map((each) => each.factors).filter((each) => each.factors.length > 0)
  const taken = await transfer.findTakenFactors(database, factors)
  const imported = batch.filter(({ account }) => !taken.has(account.id))
  const outcomes = await users.import(
    imported.map(({ account }) => account),
    factors.length === 0 ? undefined : (transaction, added) => transfer.insertFactors(transaction, factors, added),
  )
  return { factorsTaken: batch.filter(({ account }) => taken.has(account.id)), imported, outcomes }
}

/** Retries while a service holds the write lock of the database. */
async function retrying<Result>(act: () => Promise<Result>): Promise<Result> {
  for (let retry = 0; ; retry += 1) {
    try {
      return await act()
    } catch (error) {
      if (!(error instanceof Unavailable) || retry === RETRIES) throw error
      await sleep(RETRY_AFTER)
    }
  }
}

function describe({ lines, imported, present, rejected }: Counts): string {
  return `${lines} lines: ${imported} imported, ${present} already present, ${rejected} skipped`
}
