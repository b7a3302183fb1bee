import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import type { Writable } from 'node:stream'
import { finished } from 'node:stream/promises'
import { CommandError, command } from './command.js'
import { type Services, withServices } from './services.js'

/** Accounts in one query. */
const PAGE = 1000

export const exportUsers = command({
  about: 'Export all accounts with their password hashes and factors, as lines that users import reads',
  names: ['FILE'],
  details: `
FILE is created with mode 0600, because it holds password hashes. Secrets of authenticator apps stay sealed under DATA_SECRET.
The command does not overwrite a file. With - it writes to standard output, and the summary to standard error.

Move the accounts to another database with one pipe:

  latchkey users export - | DATABASE_URL=postgres://… latchkey users import -

A service may run meanwhile. An account that changes during the export is exported as it was before or after the change, and its
factors likewise. If the pipe is interrupted, run it again: the import keeps the accounts that it has. The import skips an account
with the role latchkey-admin: take the role away before the export, and give it again after the import.`,
  async run({ names: [file], json }) {
    const exported = await withServices((services) => exportAll(services, file))
    const output = { text: `${exported} accounts exported`, json: { exported } }
    if (file !== '-') return output
    // Standard output has the accounts.
    process.stderr.write(`${json ? JSON.stringify(output.json) : output.text}\n`)
    return undefined
  },
})

async function exportAll({ users, database }: Services, file: string): Promise<number> {
  // Loaded here: --help needs no database.
  const { exportFactors } = await import('../factors/transfer.js')
  const stream = file === '-' ? process.stdout : await createFile(file)
  let exported = 0
  let after = ''
  for (;;) {
    const { accounts, withFactors } = await users.export({ limit: PAGE, after })
    const last = accounts.at(-1)
    if (!last) break
    const factors = await exportFactors(database, withFactors)
    const lines = accounts.map((account) => `${JSON.stringify({ ...account, ...factors.get(account.id) })}\n`).join('')
    // Memory holds one page: a slow reader must not make the command keep all accounts.
    if (!stream.write(lines)) await once(stream, 'drain')
    exported += accounts.length
    after = last.id
  }
  if (stream !== process.stdout) {
    stream.end()
    await finished(stream)
  }
  return exported
}

async function createFile(file: string): Promise<Writable> {
  const stream = createWriteStream(file, { flags: 'wx', mode: 0o600 })
  try {
    await once(stream, 'open')
  } catch (error) {
    throw new CommandError(`${file} cannot be created: ${(error as NodeJS.ErrnoException).code}`)
  }
  return stream
}
