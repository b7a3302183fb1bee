import { createHash, randomBytes } from 'node:crypto'
import { linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { ClientCredentials } from '../clients/client-authentication.js'
import { createOwnerFolder, restrictToOwner } from '../file-mode.js'
import type { Config } from './config.js'
import { ConfigError, type EnvironmentConfig } from './read.js'

interface DevelopmentSecrets {
  jwtSecret: string
  refreshSecret: string
  dataSecret: string
  client: ClientCredentials
}

const FILE = 'development-secrets.json'

/**
 * Completes a configuration that lacks secrets. They are generated once and kept beside the database with mode 0600, so
 * that a restart signs nobody out.
 *
 * @throws {ConfigError} when the file cannot be read or written
 */
export function addDevelopmentSecrets({ missing, ...config }: EnvironmentConfig): Config {
  const file = join(secretsFolder(config.databaseUrl), FILE)
  const secrets = missing.length > 0 ? readOrCreate(file) : undefined
  const isMissing = (name: (typeof missing)[number]) => missing.includes(name)
  // Other machines could use this client: an operator who opens the service chooses the client.
  const client = isMissing('BOOTSTRAP_CLIENT') && !config.exposed ? secrets?.client : undefined
  return Object.freeze({
    ...config,
    jwtSecrets: (secrets && isMissing('JWT_SECRET') ? [secrets.jwtSecret] : config.jwtSecrets) as Config['jwtSecrets'],
    refreshSecrets: (secrets && isMissing('REFRESH_SECRET')
      ? [secrets.refreshSecret]
      : config.refreshSecrets) as Config['refreshSecrets'],
    dataSecrets: secrets && isMissing('DATA_SECRET') ? [secrets.dataSecret] : config.dataSecrets,
    bootstrapClient: client ?? config.bootstrapClient,
    generated: secrets && { file, client },
  })
}

function secretsFolder(databaseUrl: string): string {
  return databaseUrl.startsWith('sqlite:') ? dirname(databaseUrl.slice('sqlite:'.length)) : 'data'
}

function readOrCreate(file: string): DevelopmentSecrets {
  try {
    createOwnerFolder(dirname(file))
    restrictToOwner(file)
    return read(file) ?? create(file)
  } catch (error) {
    const { message } = error as Error
    throw new ConfigError([`JWT_SECRET, REFRESH_SECRET: are not set, and could not be generated: ${message}`])
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
    const { jwtSecret, refreshSecret, client, ...rest } = JSON.parse(text)
    // A file of an earlier version has no such secret. Every process derives the same one.
    const dataSecret = rest.dataSecret ?? createHash('sha256').update(`data\0${refreshSecret}`).digest('base64url')
    const values = [jwtSecret, refreshSecret, dataSecret, client.id, client.secret]
    if (!values.every((value) => typeof value === 'string')) throw 0
    return { jwtSecret, refreshSecret, dataSecret, client }
  } catch {
    throw new Error(`${file} is damaged: delete it to get new secrets, which end every token issued so far`)
  }
}

function create(file: string): DevelopmentSecrets {
  const secret = () => randomBytes(32).toString('base64url')
  const created = {
    jwtSecret: secret(),
    refreshSecret: secret(),
    dataSecret: secret(),
    client: { id: 'demo', secret: secret() },
  }
  // Two processes may start at once. The first link wins, and both processes read the same file. A rename would let the
  // second process replace secrets that the first already signs with.
  const draft = `${file}.${process.pid}`
  try {
    writeFileSync(draft, `${JSON.stringify(created, null, 2)}\n`, { mode: 0o600 })
    linkSync(draft, file)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    rmSync(draft, { force: true })
  }
  return read(file) as DevelopmentSecrets
}
