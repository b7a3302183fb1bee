import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { availableParallelism } from 'node:os'
import { dirname } from 'node:path'
import { FIRST_PARTY_CLIENT_ID, MAX_LIFETIME } from '@latchkey/verifier/access-token'
import { isClientId } from '../clients/clients.js'
import { parseKeys, type SigningKeys } from '../tokens/key-ring.js'
import { databaseUrl, httpUrl, redisUrls } from './addresses.js'
import { developmentSecrets } from './development-secrets.js'
import { duration } from './duration.js'
import { weaknessOf } from './weak-secrets.js'

/** A setting: what it is called, what it means to an operator, and what it is when nothing is set. */
interface Setting<Value> {
  /** One line for `.env.example`. */
  about: string
  /** Shown in `.env.example`; the value itself comes from `fallback`. */
  shown: string
  parse: (text: string) => Value
}

const setting = <Value>(about: string, shown: string, parse: (text: string) => Value): Setting<Value> => ({
  about,
  shown,
  parse,
})

const MAKE_SECRET = 'make one with  openssl rand -base64 48'
const MAKE_KEY = 'make one with  latchkey keys generate'

const positive =
  <Value extends number>(parse: (text: string) => Value) =>
  (text: string): Value => {
    const value = parse(text)
    if (value <= 0) throw new Error('must be more than 0')
    return value
  }

function wholeNumber(min: number, max: number) {
  return (text: string): number => {
    const value = Number(text)
    if (!/^\d{1,9}$/.test(text) || value < min || value > max) {
      throw new Error(`write a whole number from ${min} to ${max}`)
    }
    return value
  }
}

function oneOf<const Choice extends string>(...choices: Choice[]) {
  return (text: string): Choice => {
    const choice = choices.find((candidate) => candidate === text)
    if (!choice) throw new Error(`write one of: ${choices.join(', ')}`)
    return choice
  }
}

function list(text: string): string[] {
  const items = text.split(',').map((item) => item.trim())
  if (items.includes('')) throw new Error('an item of the list is empty: look for a doubled or trailing comma')
  return items
}

/** The MAC or HMAC keys of a comma-separated list. RFC 7518 §3.2: no shorter than the hash. */
function keys(text: string): string[] {
  const secrets = list(text)
  for (const [index, secret] of secrets.entries()) {
    const which = secrets.length > 1 ? `secret ${index + 1} of ${secrets.length}` : 'the secret'
    if (Buffer.byteLength(secret) < 32) {
      throw new Error(`${which} is shorter than 32 bytes: ${MAKE_SECRET}`)
    }
  }
  if (new Set(secrets).size < secrets.length) throw new Error('a secret is given twice')
  return secrets
}

/** Read here only to find its faults with all the others: the ring reads it for itself. */
function keyFile(path: string): { path: string; secrets: Buffer[] } {
  try {
    return { path, secrets: secretsOf(parseKeys(readFileSync(path, 'utf8'))) }
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    throw new Error(code === undefined ? message : `the file cannot be read: ${code}`)
  }
}

/**
 * The keys of a key file that a service in production may use.
 *
 * @throws Error that says which rule is broken
 */
export function parseProductionKeys(text: string): SigningKeys {
  const keys = parseKeys(text)
  const weakness = findWeakness(secretsOf(keys))
  if (weakness) throw new Error(`a shared secret of the key file can be guessed: ${weakness}: ${MAKE_KEY}`)
  return keys
}

function secretsOf(keys: SigningKeys): Buffer[] {
  return keys.flatMap(({ alg, key }) => (alg === 'HS256' ? [Buffer.from(key)] : []))
}

/** Why one of these secrets can be guessed; undefined where none can. */
function findWeakness(secrets: readonly (string | Uint8Array)[]): string | undefined {
  return secrets.map(weaknessOf).find((weakness) => weakness !== undefined)
}

function cidrs(text: string): string[] {
  const ranges = list(text)
  for (const range of ranges) {
    const [address = '', bits, ...rest] = range.split('/')
    const version = isIP(address)
    const isBits = bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (version === 4 ? 32 : 128))
    if (!version || !isBits || rest.length > 0) {
      throw new Error('write addresses or ranges such as 10.0.0.0/8, comma-separated')
    }
    if (bits === '0') throw new Error('a range of every address would believe every caller')
  }
  return ranges
}

function clientCredentials(text: string): { id: string; secret: string } {
  const colon = text.indexOf(':')
  const [id, secret] = [text.slice(0, colon), text.slice(colon + 1)]
  if (id === FIRST_PARTY_CLIENT_ID) throw new Error('the id latchkey is taken by the service itself')
  if (colon < 1 || !isClientId(id)) {
    throw new Error('write ID:SECRET, with an id of letters, digits, dot, dash and underscore')
  }
  if (Buffer.byteLength(secret) < 32) {
    throw new Error(`the secret is shorter than 32 bytes: ${MAKE_SECRET}`)
  }
  if (!/^[!-~]+$/.test(secret)) throw new Error('the secret must be of printable ASCII with no space')
  return { id, secret }
}

const NODE_ENVS = ['production', 'development', 'test'] as const

/** Every setting, in the order of `.env.example`. The type, the example and the parser have this one source. */
export const settings = {
  NODE_ENV: setting(
    'production, development or test; production refuses to start without its secrets',
    'development',
    oneOf(...NODE_ENVS),
  ),
  HOST: setting('Address that both ports listen on', '127.0.0.1', (text) => text),
  PORT: setting('The service', '3000', wholeNumber(0, 65_535)),
  MANAGEMENT_PORT: setting('Health and metrics, for the cluster', '9000', wholeNumber(0, 65_535)),
  ISSUER: setting('iss of every token, exactly', 'http://localhost:3000', httpUrl),
  AUDIENCE: setting(
    'Audiences that may be asked for besides ISSUER, comma-separated; the first is the default. ISSUER if not set',
    'http://localhost:3000',
    list,
  ),
  JWT_SECRET: setting(
    'HS256 secrets, comma-separated, 32 bytes or more each: the first signs, all verify. Or JWT_SECRET_FILE',
    '',
    keys,
  ),
  JWT_KEYS_FILE: setting(
    'A private JWK Set instead (oct, EC P-256, RSA, Ed25519): the first signs, all verify; read again when it changes',
    '',
    keyFile,
  ),
  REFRESH_SECRET: setting(
    'MAC keys of refresh tokens and of the jti of access tokens, as above; share them with nobody. Or REFRESH_SECRET_FILE',
    '',
    keys,
  ),
  DATABASE_URL: setting(
    'Accounts and clients: sqlite:PATH or postgres://…. Or DATABASE_URL_FILE',
    'sqlite:data/latchkey.db',
    databaseUrl,
  ),
  REDIS_URL: setting(
    'Sessions and the revocation feed; without it they live in the database. Several nodes, comma-separated. Or REDIS_URL_FILE',
    '',
    redisUrls,
  ),
  REDIS_MODE: setting(
    'single: REDIS_URL is the primary; sentinel: it names sentinels; cluster: it names nodes of the cluster',
    'single',
    oneOf('single', 'sentinel', 'cluster'),
  ),
  REDIS_SENTINEL_MASTER: setting(
    'What the sentinels call the primary: NAME, or USER:PASSWORD@NAME. Or REDIS_SENTINEL_MASTER_FILE',
    '',
    (text) => text,
  ),
  REDIS_WAIT_REPLICAS: setting(
    'Replicas that must hold a revocation before it is acknowledged; fewer: 503',
    '0',
    wholeNumber(0, 100),
  ),
  ACCESS_TTL: setting('Life of an access token, 24h at most', '15m', positive(duration)),
  REFRESH_TTL: setting('A session ends when it is not refreshed for so long', '7d', positive(duration)),
  SESSION_MAX_AGE: setting('A session ends at this age, used or not; 0: never', '0', duration),
  REFRESH_GRACE: setting(
    'A refresh token presented again within this gets the same successor; later, its session ends',
    '30s',
    duration,
  ),
  SESSIONS_PER_USER: setting('Past it, the session unused longest ends', '100', wholeNumber(1, 10_000)),
  SIGNUP: setting('open: anyone may sign up; or closed, as in production if not set', 'open', oneOf('open', 'closed')),
  BOOTSTRAP_CLIENT: setting(
    'ID:SECRET of a client with the scopes introspect and admin, made if missing. Or BOOTSTRAP_CLIENT_FILE',
    '',
    clientCredentials,
  ),
  PASSWORD_MIN_LENGTH: setting(
    'Characters in a new password (NIST SP 800-63B-4: 15 for a single factor)',
    '15',
    wholeNumber(8, 64),
  ),
  HASH_CONCURRENCY: setting('Passwords hashed at once; one less than the cores if not set', '', wholeNumber(1, 1024)),
  HASH_QUEUE: setting('Passwords that may wait to be hashed; past it, 503', '64', wholeNumber(0, 100_000)),
  HASH_COST: setting(
    'full; or test, which makes password hashes of no strength, for a test suite: refused in production',
    'full',
    oneOf('full', 'test'),
  ),
  TRUST_PROXY: setting('Addresses or CIDRs whose X-Forwarded-For is believed, comma-separated', '', cidrs),
  LOG_LEVEL: setting('How much is logged', 'info', oneOf('trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent')),
  OTEL_EXPORTER_OTLP_ENDPOINT: setting(
    'Where traces are sent, by OTLP over HTTP, such as http://collector:4318; without it none are made',
    '',
    httpUrl,
  ),
  DOCS: setting('/docs and /openapi.json: on or off; off in production if not set', 'on', oneOf('on', 'off')),
}

/** Those that may also be given as NAME_FILE, the path of a file that holds the value. */
export const secretSettings = [
  'JWT_SECRET',
  'REFRESH_SECRET',
  'DATABASE_URL',
  'REDIS_URL',
  'REDIS_SENTINEL_MASTER',
  'BOOTSTRAP_CLIENT',
] as const

export interface RedisConfig {
  readonly mode: 'single' | 'sentinel' | 'cluster'
  readonly urls: readonly [string, ...string[]]
  readonly sentinelMaster: string | undefined
  readonly waitReplicas: number
}

export interface Config {
  readonly production: boolean
  readonly host: string
  readonly port: number
  readonly managementPort: number
  readonly issuer: string
  /** The first is the default. */
  readonly audiences: readonly [string, ...string[]]
  /** Not in use where there is a key file. */
  readonly jwtSecrets: readonly [string, ...string[]]
  readonly jwtKeysFile: string | undefined
  readonly refreshSecrets: readonly [string, ...string[]]
  readonly databaseUrl: string
  /** Undefined: sessions live in the database. */
  readonly redis: RedisConfig | undefined
  /** Durations are milliseconds. */
  readonly accessTtl: number
  readonly refreshTtl: number
  readonly sessionMaxAge: number
  readonly refreshGrace: number
  readonly sessionsPerUser: number
  readonly signUp: 'open' | 'closed'
  readonly bootstrapClient: { readonly id: string; readonly secret: string } | undefined
  readonly passwordMinLength: number
  readonly hashConcurrency: number
  readonly hashQueue: number
  readonly hashCost: 'full' | 'test'
  readonly trustProxy: readonly string[] | undefined
  readonly logLevel: string
  /** Where traces are sent. */
  readonly tracesEndpoint: string | undefined
  readonly docs: boolean
  /** Where secrets that were not set have been made up, and for a newcomer's first calls the client among them. */
  readonly generated: { readonly file: string; readonly client: { id: string; secret: string } | undefined } | undefined
}

/** Every fault of the environment, one line each. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  constructor(readonly faults: readonly string[]) {
    super(
      `the configuration has ${faults.length === 1 ? 'a fault' : `${faults.length} faults`}:\n  ${faults.join('\n  ')}`,
    )
  }
}

/** What it takes to open the stores and to keep the rules of what is in them: none of the service's own secrets. */
export type StoresConfig = Pick<
  Config,
  | 'databaseUrl'
  | 'redis'
  | 'accessTtl'
  | 'refreshTtl'
  | 'sessionMaxAge'
  | 'refreshGrace'
  | 'sessionsPerUser'
  | 'passwordMinLength'
  | 'hashConcurrency'
  | 'hashQueue'
>

type Environment = Readonly<Record<string, string | undefined>>
type Parsed<Name extends keyof typeof settings> = ReturnType<(typeof settings)[Name]['parse']>
type Read = <Name extends keyof typeof settings>(name: Name) => Parsed<Name> | undefined

/** Reads settings one by one. What is wrong with one is added to `faults`, and it counts as not set. */
function reader(env: Environment, faults: string[]): Read {
  return (name) => {
    try {
      const text = textOf(name, env)
      return text === undefined ? undefined : (settings[name].parse(text) as Parsed<typeof name>)
    } catch (error) {
      faults.push(`${name}: ${(error as Error).message}`)
      return undefined
    }
  }
}

function readStores(read: Read, faults: string[]): StoresConfig {
  return {
    databaseUrl: read('DATABASE_URL') ?? 'sqlite:data/latchkey.db',
    redis: readRedis(read, faults),
    accessTtl: read('ACCESS_TTL') ?? 15 * 60_000,
    refreshTtl: read('REFRESH_TTL') ?? 7 * 86_400_000,
    sessionMaxAge: read('SESSION_MAX_AGE') ?? 0,
    refreshGrace: read('REFRESH_GRACE') ?? 30_000,
    sessionsPerUser: read('SESSIONS_PER_USER') ?? 100,
    passwordMinLength: read('PASSWORD_MIN_LENGTH') ?? 15,
    hashConcurrency: read('HASH_CONCURRENCY') ?? Math.max(1, availableParallelism() - 1),
    hashQueue: read('HASH_QUEUE') ?? 64,
  }
}

function readRedis(read: Read, faults: string[]): RedisConfig | undefined {
  const urls = read('REDIS_URL')
  const mode = read('REDIS_MODE') ?? 'single'
  const sentinelMaster = read('REDIS_SENTINEL_MASTER')
  const waitReplicas = read('REDIS_WAIT_REPLICAS') ?? 0
  if (!urls) {
    // Whoever asks for replicas believes that there are some. A fault of REDIS_URL itself has been told.
    if (waitReplicas > 0 && faults.length === 0) faults.push('REDIS_WAIT_REPLICAS: is set, and REDIS_URL is not')
    if (mode !== 'single' && faults.length === 0) faults.push(`REDIS_URL: must be set where REDIS_MODE is ${mode}`)
    return undefined
  }
  if (mode === 'single' && urls.length > 1) {
    faults.push('REDIS_URL: names several nodes: set REDIS_MODE to sentinel or cluster, or keep one')
  }
  if (mode === 'cluster' && urls.some((each) => Number(new URL(each).pathname.slice(1)) > 0)) {
    faults.push('REDIS_URL: a cluster has no database but 0')
  }
  if (mode === 'sentinel' && !sentinelMaster?.replace(/^.*@/, '')) {
    faults.push('REDIS_SENTINEL_MASTER: must be set where REDIS_MODE is sentinel')
  }
  if (mode !== 'sentinel' && sentinelMaster !== undefined) {
    faults.push('REDIS_SENTINEL_MASTER: is set, and REDIS_MODE is not sentinel')
  }
  return { mode, urls, sentinelMaster, waitReplicas }
}

/**
 * Reads of the environment what the command line needs. It runs in other shells than the service, which may not have the
 * service's secrets, and should not.
 *
 * @throws {ConfigError} with every fault at once
 */
export function readStoresConfig(env: Environment): StoresConfig {
  const faults: string[] = []
  const config = readStores(reader(env, faults), faults)
  if (faults.length > 0) throw new ConfigError(faults)
  // The command line issues no access token, so it has no say in how long the feed of revocations keeps its entries.
  return { ...config, accessTtl: 0 }
}

/**
 * Reads the environment, once. Outside production, secrets that are not set are generated and kept beside the
 * database, so that a restart signs nobody out.
 *
 * @throws {ConfigError} with every fault at once
 */
export function readConfig(env: Environment): Config {
  const faults: string[] = []
  const read = reader(env, faults)
  const production = read('NODE_ENV') === 'production'
  // Empty is not unset here: a variable that did not expand would open a service in production.
  if (env.NODE_ENV?.trim() === '') faults.push(`NODE_ENV: is empty: write one of: ${NODE_ENVS.join(', ')}`)
  const port = read('PORT') ?? 3000
  const managementPort = read('MANAGEMENT_PORT') ?? 9000
  const issuer = read('ISSUER') ?? `http://localhost:${port}`
  const stores = readStores(read, faults)
  let jwtSecrets = read('JWT_SECRET')
  const keysOfFile = read('JWT_KEYS_FILE')
  let refreshSecrets = read('REFRESH_SECRET')
  let bootstrapClient = read('BOOTSTRAP_CLIENT')
  const values = {
    host: read('HOST') ?? '127.0.0.1',
    audiences: (read('AUDIENCE') ?? [issuer]) as [string, ...string[]],
    signUp: read('SIGNUP') ?? (production ? 'closed' : 'open'),
    hashCost: read('HASH_COST') ?? 'full',
    trustProxy: read('TRUST_PROXY'),
    logLevel: read('LOG_LEVEL') ?? 'info',
    tracesEndpoint: read('OTEL_EXPORTER_OTLP_ENDPOINT'),
    docs: (read('DOCS') ?? (production ? 'off' : 'on')) === 'on',
  } as const

  if (port !== 0 && port === managementPort) faults.push('MANAGEMENT_PORT: must differ from PORT')
  // A name with a fault is set, if wrongly: it has been reported, and nothing is made up in its place.
  const missing = (name: string) => !env[name]?.trim() && !env[`${name}_FILE`]
  if (!missing('JWT_SECRET') && !missing('JWT_KEYS_FILE')) {
    faults.push('JWT_KEYS_FILE: is set, and so is JWT_SECRET: keep one of them')
  }
  if (stores.accessTtl > MAX_LIFETIME * 1000) faults.push('ACCESS_TTL: verifiers refuse a life of more than 24h')
  if (jwtSecrets?.some((secret) => refreshSecrets?.includes(secret))) {
    faults.push('REFRESH_SECRET: must differ from JWT_SECRET, which other services know')
  }
  if (keysOfFile?.secrets.some((key) => refreshSecrets?.some((secret) => key.equals(Buffer.from(secret))))) {
    faults.push('REFRESH_SECRET: must differ from the secrets of JWT_KEYS_FILE, which other services know')
  }

  let generated: Config['generated']
  if (production) {
    for (const [name, secrets] of Object.entries({ JWT_SECRET: jwtSecrets, REFRESH_SECRET: refreshSecrets })) {
      if (missing(name) && !(name === 'JWT_SECRET' && !missing('JWT_KEYS_FILE'))) {
        faults.push(`${name}: must be set in production: ${MAKE_SECRET}`)
      }
      const weakness = findWeakness(secrets ?? [])
      if (weakness) faults.push(`${name}: a secret can be guessed: ${weakness}: ${MAKE_SECRET}`)
    }
    if (values.hashCost === 'test') faults.push('HASH_COST: test is refused in production: set full, or leave it out')
    const ofFile = findWeakness(keysOfFile?.secrets ?? [])
    if (ofFile) faults.push(`JWT_KEYS_FILE: a shared secret can be guessed: ${ofFile}: ${MAKE_KEY}`)
    const ofClient = bootstrapClient && weaknessOf(bootstrapClient.secret)
    if (ofClient) faults.push(`BOOTSTRAP_CLIENT: the secret can be guessed: ${ofClient}: ${MAKE_SECRET}`)
  } else if (faults.length === 0 && !((jwtSecrets ?? keysOfFile) && refreshSecrets && bootstrapClient)) {
    const made = developmentSecrets(secretsDirectory(stores.databaseUrl))
    if (made instanceof Error) {
      faults.push(`JWT_SECRET, REFRESH_SECRET: not set, and none could be generated: ${made.message}`)
    } else {
      generated = { file: made.file, client: bootstrapClient ? undefined : made.client }
      if (keysOfFile === undefined) jwtSecrets ??= [made.jwtSecret]
      refreshSecrets ??= [made.refreshSecret]
      bootstrapClient ??= made.client
    }
  }
  if (faults.length > 0) throw new ConfigError(faults)

  return Object.freeze({
    production,
    port,
    managementPort,
    issuer,
    jwtKeysFile: keysOfFile?.path,
    jwtSecrets: (jwtSecrets ?? []) as unknown as [string, ...string[]],
    refreshSecrets: refreshSecrets as [string, ...string[]],
    bootstrapClient,
    ...stores,
    ...values,
    generated,
  })
}

/** Bytes that are not UTF-8 all become one replacement character: of 48 random bytes as a secret half would be known. */
function textOf(name: keyof typeof settings, env: Environment): string | undefined {
  const text = readText(name, env)
  if (text?.includes('\uFFFD')) throw new Error('is not UTF-8: write it as text, random bytes for example as base64')
  return text
}

/** The text of a setting, from NAME or from the file that NAME_FILE names. Empty counts as not set. */
function readText(name: keyof typeof settings, env: Environment): string | undefined {
  const text = env[name]?.trim() || undefined
  const path = secretSettings.some((secret) => secret === name) ? env[`${name}_FILE`] : undefined
  if (!path) return text
  if (text !== undefined) throw new Error(`is set, and so is ${name}_FILE: keep one of them`)
  let content: string
  try {
    content = readFileSync(path, 'utf8').trim()
  } catch (error) {
    throw new Error(`${name}_FILE cannot be read: ${(error as NodeJS.ErrnoException).code}`)
  }
  if (content === '') throw new Error(`${name}_FILE names a file that is empty`)
  return content
}

function secretsDirectory(databaseUrl: string): string {
  return databaseUrl.startsWith('sqlite:') ? dirname(databaseUrl.slice('sqlite:'.length)) : 'data'
}
