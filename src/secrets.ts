import { randomBytes } from 'node:crypto'
import { linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createOwnerFolder, restrictToOwner } from './file-mode.js'

export interface DevelopmentSecrets {
  /** Where they are kept. */
  file: string
  jwtSecret: string
  refreshSecret: string
  client: { id: string; secret: string }
}

const FILE = 'development-secrets.json'

/**
 * The secrets of an instance that was given none: generated once, kept in `directory` with mode 0600.
 * Answers with the error where they can be neither read nor written.
 */
export function developmentSecrets(directory: string): DevelopmentSecrets | Error {
  const file = join(directory, FILE)
  try {
    createOwnerFolder(directory)
    restrictToOwner(file)
    return read(file) ?? make(file)
  } catch (error) {
    return error as Error
  }
}

function read(file: string): DevelopmentSecrets | undefined {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  try {
    const { jwtSecret, refreshSecret, client } = JSON.parse(text)
    if (![jwtSecret, refreshSecret, client.id, client.secret].every((value) => typeof value === 'string')) throw 0
    return { file, jwtSecret, refreshSecret, client }
  } catch {
    throw new Error(`${file} is damaged: delete it, and new secrets are made (every token of now ends with it)`)
  }
}

function make(file: string): DevelopmentSecrets {
  const secret = () => randomBytes(32).toString('base64url')
  const made = { jwtSecret: secret(), refreshSecret: secret(), client: { id: 'demo', secret: secret() } }
  // Two processes may start at once: whoever links first has made them, and both read the same. A rename would let
  // the second replace what the first already signs with.
  const draft = `${file}.${process.pid}`
  try {
    writeFileSync(draft, `${JSON.stringify(made, null, 2)}\n`, { mode: 0o600 })
    linkSync(draft, file)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    rmSync(draft, { force: true })
  }
  return read(file) as DevelopmentSecrets
}
