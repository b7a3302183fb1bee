import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { MAX_LIFETIME } from '@latchkey/verifier/access-token'
import { readTlsPair } from '../tls.js'
import type { Config, RedisConfig, StoresConfig } from './config.js'
import {
  findLifetimeConflicts,
  findOriginConflicts,
  findSecretConflicts,
  findWeakSecrets,
  isExposed,
} from './conflicts.js'
import { type Context, NODE_ENVS, type SettingName, secretSettings, settings } from './settings.js'

/** Every fault of the environment, one line each. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  constructor(readonly faults: readonly string[]) {
    super(
      `the configuration has ${faults.length === 1 ? 'a fault' : `${faults.length} faults`}:\n  ${faults.join('\n  ')}`,
    )
  }
}

/** A configuration as the environment gives it. Outside production some secrets may be missing. */
export interface EnvironmentConfig extends Omit<Config, 'jwtSecrets' | 'refreshSecrets' | 'generated'> {
  readonly jwtSecrets: readonly string[]
  readonly refreshSecrets: readonly string[]
  readonly missing: readonly ('JWT_SECRET' | 'REFRESH_SECRET' | 'DATA_SECRET' | 'BOOTSTRAP_CLIENT')[]
}

type Environment = Readonly<Record<string, string | undefined>>
type Value<Name extends SettingName> = ReturnType<(typeof settings)[Name]['parse']>
type Read = <Name extends SettingName>(name: Name) => Value<Name>

/**
 * Reads the environment, and the files that it names. Writes nothing.
 *
 * @throws {ConfigError} with every fault at once
 */
export function readConfig(env: Environment): EnvironmentConfig {
  const faults: string[] = []
  const context = { production: false, port: 0, issuer: '' }
  const read = createReader(env, context, faults)
  const nodeEnv = read('NODE_ENV')
  const production = nodeEnv === 'production'
  // An empty NODE_ENV is a fault: a variable that was not expanded would run an open service in production.
  if (env.NODE_ENV?.trim() === '') faults.push(`NODE_ENV: is empty: write one of: ${NODE_ENVS.join(', ')}`)
  context.production = production
  const port = read('PORT')
  context.port = port
  const issuer = read('ISSUER')
  context.issuer = issuer
  const managementPort = read('MANAGEMENT_PORT')
  const stores = readStores(read, env, faults)
  const jwtSecrets = read('JWT_SECRET')
  const keyFile = read('JWT_KEYS_FILE')
  const refreshSecrets = read('REFRESH_SECRET')
  const dataSecrets = read('DATA_SECRET')
  const bootstrapClient = read('BOOTSTRAP_CLIENT')
  const host = read('HOST')
  const corsOrigins = read('CORS_ORIGINS')
  const values = {
    host,
    exposed: isExposed({ production, host }),
    tls: readTls(read, faults),
    cookieOrigins: read('REFRESH_COOKIE') === 'on' ? corsOrigins : undefined,
    audiences: read('AUDIENCE'),
    signUp: read('SIGNUP'),
    accountClaims: read('ACCOUNT_CLAIMS'),
    mfa: read('MFA'),
    relyingParty: { id: read('WEBAUTHN_RP_ID'), origins: read('WEBAUTHN_ORIGINS') },
    corsOrigins,
    jwtSecretMode: read('JWT_SECRET_MODE'),
    hashCost: read('HASH_COST'),
    trustProxy: read('TRUST_PROXY'),
    logLevel: read('LOG_LEVEL'),
    tracesEndpoint: read('OTEL_EXPORTER_OTLP_ENDPOINT'),
    docs: read('DOCS') === 'on',
    console: read('CONSOLE') === 'on',
  }

  if (port !== 0 && port === managementPort) faults.push('MANAGEMENT_PORT: must differ from PORT')
  // A setting with a fault is not missing: its fault is reported, and no generated secret takes its place.
  const isMissing = (name: string) => !env[name]?.trim() && !env[`${name}_FILE`]
  faults.push(...findLifetimeConflicts(stores, nodeEnv === 'test'))
  if (stores.accessTtl > MAX_LIFETIME * 1000) faults.push('ACCESS_TTL: verifiers refuse a lifetime of more than 24h')
  const secrets = { jwtSecrets, refreshSecrets, dataSecrets, keyFile, bootstrapClient }
  faults.push(...findSecretConflicts(secrets, isMissing))
  if (values.cookieOrigins && isMissing('CORS_ORIGINS')) {
    faults.push(
      'REFRESH_COOKIE: is on without CORS_ORIGINS: name the origins of your pages there, also the origin of ISSUER',
    )
  }
  faults.push(...findOriginConflicts(values.relyingParty))
  if (production) {
    faults.push(...findWeakSecrets(secrets, isMissing))
    if (values.hashCost === 'test') faults.push('HASH_COST: test is refused in production: set full, or leave it out')
  }
  if (faults.length > 0) throw new ConfigError(faults)

  const missing: EnvironmentConfig['missing'][number][] = []
  if (!production) {
    if (!jwtSecrets && !keyFile) missing.push('JWT_SECRET')
    if (!refreshSecrets) missing.push('REFRESH_SECRET')
    if (!bootstrapClient) missing.push('BOOTSTRAP_CLIENT')
    // DATA_SECRET is optional: it is generated only if another secret is.
    if (missing.length > 0 && !dataSecrets) missing.push('DATA_SECRET')
  }
  return Object.freeze({
    production,
    port,
    managementPort,
    issuer,
    jwtKeysFile: keyFile?.path,
    jwtSecrets: jwtSecrets ?? [],
    refreshSecrets: refreshSecrets ?? [],
    dataSecrets: dataSecrets ?? [],
    bootstrapClient,
    ...stores,
    ...values,
    missing,
  })
}

/**
 * DATA_SECRET, for the command that seals again.
 *
 * @throws {ConfigError} if it is missing or has a fault
 */
export function readDataSecrets(env: Environment): readonly [string, ...string[]] {
  const faults: string[] = []
  const secrets = createReader(env, { production: false, port: 0, issuer: '' }, faults)('DATA_SECRET')
  if (!secrets && faults.length === 0) faults.push('DATA_SECRET: is not set: set it as the service has it')
  if (!secrets) throw new ConfigError(faults)
  return secrets
}

/**
 * Reads the part of the environment that the command line needs. Commands run in shells that may not have the secrets of
 * the service, and should not have them.
 *
 * @throws {ConfigError} with every fault at once
 */
export function readStoresConfig(env: Environment): StoresConfig {
  const faults: string[] = []
  const context = { production: false, port: 0, issuer: '' }
  const read = createReader(env, context, faults)
  const production = read('NODE_ENV') === 'production'
  const config = readStores(read, env, faults)
  if (faults.length > 0) throw new ConfigError(faults)
  // The command line issues no access tokens, so its ACCESS_TTL must not shorten or prolong the revocation feed.
  return { ...config, production, accessTtl: 0 }
}

/**
 * Reads what the command needs that prints the secret of an audience. `audiences` is undefined if AUDIENCE is not set.
 *
 * @throws {ConfigError} with every fault at once
 */
export function readSharedSecrets(env: Environment) {
  const faults: string[] = []
  const read = createReader(env, { production: false, port: 0, issuer: '' }, faults)
  const secrets = read('JWT_SECRET') ?? []
  const audiences = env.AUDIENCE?.trim() ? [...read('AUDIENCE'), read('ISSUER')] : undefined
  if (faults.length > 0) throw new ConfigError(faults)
  return { secrets, audiences }
}

/** Reads settings one by one. A fault of a setting is added to `faults`, and the setting gets its default. */
function createReader(env: Environment, context: Context, faults: string[]): Read {
  return <Name extends SettingName>(name: Name) => {
    const { default: fallback, parse } = settings[name]
    try {
      const text = readText(name, env)
      if (text !== undefined) return parse(text) as Value<Name>
    } catch (error) {
      faults.push(`${name}: ${(error as Error).message}`)
    }
    return (typeof fallback === 'string' ? parse(fallback) : fallback(context)) as Value<Name>
  }
}

/** The certificate and the key of both ports. Both are read now: a fault stops the start. */
function readTls(read: Read, faults: string[]): Config['tls'] {
  const [certFile, keyFile] = [read('TLS_CERT_FILE'), read('TLS_KEY_FILE')]
  if (certFile === undefined && keyFile === undefined) return undefined
  if (certFile === undefined) return void faults.push('TLS_CERT_FILE: must be set, because TLS_KEY_FILE is set')
  if (keyFile === undefined) return void faults.push('TLS_KEY_FILE: must be set, because TLS_CERT_FILE is set')
  const files = { certFile, keyFile }
  try {
    readTlsPair(files)
  } catch (error) {
    faults.push((error as Error).message)
  }
  return files
}

function readStores(read: Read, env: Environment, faults: string[]): Omit<StoresConfig, 'production'> {
  return {
    databaseUrl: read('DATABASE_URL'),
    databaseUrlFile: env.DATABASE_URL_FILE || undefined,
    redis: readRedis(read, env, faults),
    accessTtl: read('ACCESS_TTL'),
    refreshTtl: read('REFRESH_TTL'),
    sessionMaxAge: read('SESSION_MAX_AGE'),
    refreshGrace: read('REFRESH_GRACE'),
    sessionsPerUser: read('SESSIONS_PER_USER'),
    passwordMinLength: read('PASSWORD_MIN_LENGTH'),
    hashConcurrency: read('HASH_CONCURRENCY') ?? Math.max(1, availableParallelism() - 1),
    hashQueue: read('HASH_QUEUE'),
  }
}

function readRedis(read: Read, env: Environment, faults: string[]): RedisConfig | undefined {
  const urls = read('REDIS_URL')
  const mode = read('REDIS_MODE')
  const sentinelMaster = read('REDIS_SENTINEL_MASTER')
  const waitReplicas = read('REDIS_WAIT_REPLICAS')
  if (!urls) {
    // With REDIS_WAIT_REPLICAS, the operator believes that a Redis is in use. After another fault this says nothing, because a
    // REDIS_URL that is wrong counts as missing here.
    if (waitReplicas > 0 && faults.length === 0) {
      faults.push('REDIS_WAIT_REPLICAS: is set without REDIS_URL: set REDIS_URL, or leave this out')
    }
    if (mode !== 'single' && faults.length === 0) faults.push(`REDIS_URL: must be set when REDIS_MODE is ${mode}`)
    return undefined
  }
  if (mode === 'single' && urls.length > 1) {
    faults.push('REDIS_URL: names several nodes: set REDIS_MODE to sentinel or cluster, or keep one')
  }
  if (mode !== 'single' && urls.some((each) => each.startsWith('unix:'))) {
    faults.push(`REDIS_URL: a socket is a single Redis: write redis:// addresses when REDIS_MODE is ${mode}`)
  } else if (mode === 'cluster' && urls.some((each) => Number(new URL(each).pathname.slice(1)) > 0)) {
    faults.push('REDIS_URL: a cluster has only database 0: leave the number out')
  }
  if (mode === 'sentinel' && !sentinelMaster?.replace(/^.*@/, '')) {
    faults.push('REDIS_SENTINEL_MASTER: must be set when REDIS_MODE is sentinel')
  }
  if (mode !== 'sentinel' && sentinelMaster !== undefined) {
    faults.push('REDIS_SENTINEL_MASTER: is set without REDIS_MODE=sentinel: set that mode, or leave this out')
  }
  return { mode, urls, urlFile: env.REDIS_URL_FILE || undefined, sentinelMaster, waitReplicas }
}

/** The text of a setting, from NAME or from the file that NAME_FILE names. Empty counts as not set. */
function readText(name: SettingName, env: Environment): string | undefined {
  const text = env[name]?.trim() || undefined
  const path = secretSettings.some((secret) => secret === name) ? env[`${name}_FILE`] : undefined
  if (path && text !== undefined) throw new Error(`is set, and so is ${name}_FILE: keep one of them`)
  const found = path ? readSecretFile(name, path) : text
  // Bytes that are not UTF-8 all become U+FFFD: an attacker would know half of a secret of 48 random bytes.
  if (found?.includes('\uFFFD')) throw new Error('is not UTF-8: write it as text, random bytes for example as base64')
  return found
}

function readSecretFile(name: SettingName, path: string): string {
  let content: string
  try {
    content = readFileSync(path, 'utf8').trim()
  } catch (error) {
    throw new Error(`${name}_FILE cannot be read: ${(error as NodeJS.ErrnoException).code}`)
  }
  if (content === '') throw new Error(`${name}_FILE names a file that is empty`)
  return content
}
