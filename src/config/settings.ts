import { databaseUrl, httpUrl, redisUrls } from './addresses.js'
import { duration } from './duration.js'
import { list } from './list.js'
import {
  accountClaims,
  addressRanges,
  clientCredentials,
  corsOrigins,
  domain,
  keyFile,
  listenHost,
  macKeys,
  oneOf,
  positive,
  text,
  webOrigins,
  wholeNumber,
} from './parsers.js'

/** The settings that the defaults of other settings follow from. */
export interface Context {
  readonly production: boolean
  readonly port: number
  readonly issuer: string
}

interface Setting<Value> {
  /** One line for `.env.example` and docs/configuration.md. */
  readonly description: string
  /** The default as an operator would write it, or a function that derives it from other settings. */
  readonly default: string | ((context: Context) => Value)
  readonly parse: (text: string) => Value
}

function setting<Value>(
  description: string,
  defaultValue: Setting<Value>['default'],
  parse: (text: string) => Value,
): Setting<Value> {
  return { description, default: defaultValue, parse }
}

/** A setting that has no default. */
function optional<Value>(description: string, parse: (text: string) => Value): Setting<Value | undefined> {
  return setting<Value | undefined>(description, () => undefined, parse)
}

export const NODE_ENVS = ['production', 'development', 'test'] as const

/** Every setting, in the order of `.env.example`. */
export const settings = {
  NODE_ENV: setting(
    'production, development or test; production does not start without its secrets',
    'development',
    oneOf(...NODE_ENVS),
  ),
  HOST: setting('The address that both ports listen on; :: is every address of IPv6 and IPv4', '127.0.0.1', listenHost),
  PORT: setting('The port of the service', '3000', wholeNumber(0, 65_535)),
  MANAGEMENT_PORT: setting('The port of health checks and metrics, for the cluster', '9000', wholeNumber(0, 65_535)),
  TLS_CERT_FILE: optional(
    'A certificate chain (PEM): both ports then speak HTTPS. It is read again when it changes',
    text,
  ),
  TLS_KEY_FILE: optional('The private key (PEM) of TLS_CERT_FILE', text),
  ISSUER: setting('The exact iss of every token', ({ port }) => `http://localhost:${port}`, httpUrl),
  AUDIENCE: setting<[string, ...string[]]>(
    'Audiences that clients may ask for, comma-separated; the first is the default. ISSUER is always allowed',
    ({ issuer }) => [issuer],
    list,
  ),
  JWT_SECRET: optional(
    'HS256 secrets of at least 32 bytes, comma-separated: the first signs, all verify. Or JWT_SECRET_FILE',
    macKeys,
  ),
  JWT_SECRET_MODE: setting(
    'shared: JWT_SECRET signs all tokens; audience: each audience has a key of its own, which latchkey keys secret prints',
    'shared',
    oneOf('shared', 'audience'),
  ),
  JWT_KEYS_FILE: optional(
    'A private JWK Set (oct, EC P-256, RSA, Ed25519) instead: the first key signs, all verify. A change is read within a second',
    keyFile,
  ),
  REFRESH_SECRET: optional(
    'MAC keys of refresh, recovery and mfa tokens and of the jti of access tokens, as above. Share them with nobody. Or REFRESH_SECRET_FILE',
    macKeys,
  ),
  DATABASE_URL: setting(
    'The database of accounts and clients: sqlite:PATH or postgres://…. Or DATABASE_URL_FILE',
    'sqlite:data/latchkey.db',
    databaseUrl,
  ),
  REDIS_URL: optional(
    'Redis for sessions and the revocation feed; without it the database keeps them. Several nodes: comma-separated. Or REDIS_URL_FILE',
    redisUrls,
  ),
  REDIS_MODE: setting(
    'What REDIS_URL names: single: the primary; sentinel: sentinels; cluster: nodes of the cluster',
    'single',
    oneOf('single', 'sentinel', 'cluster'),
  ),
  REDIS_SENTINEL_MASTER: optional(
    "The sentinels' name of the primary: NAME, or USER:PASSWORD@NAME. Or REDIS_SENTINEL_MASTER_FILE",
    text,
  ),
  REDIS_WAIT_REPLICAS: setting(
    'Replicas that must hold a revocation before the service acknowledges it; with fewer, it answers 503',
    '0',
    wholeNumber(0, 100),
  ),
  ACCESS_TTL: setting('Lifetime of an access token, at most 24h', '15m', positive(duration)),
  REFRESH_TTL: setting('A session ends after this time without a refresh', '7d', positive(duration)),
  SESSION_MAX_AGE: setting('A session ends at this age, even when it is in use; 0: never', '0', duration),
  REFRESH_GRACE: setting(
    'A refresh token presented again within this time gets the same successor; later, its session ends',
    '30s',
    duration,
  ),
  SESSIONS_PER_USER: setting(
    'Sessions of one account; one more ends the session that was unused longest',
    '100',
    wholeNumber(1, 10_000),
  ),
  SIGNUP: setting(
    'open: anyone may sign up; or closed, the default in production',
    ({ production }) => (production ? 'closed' : 'open'),
    oneOf('open', 'closed'),
  ),
  MFA: setting(
    'optional; or required: every account must sign in with two factors, and an account that has one must enrol another',
    'optional',
    oneOf('optional', 'required'),
  ),
  DATA_SECRET: optional(
    'Secrets that seal TOTP secrets in the database, as above: the first seals, all open. Without it nobody can enrol TOTP. Or DATA_SECRET_FILE',
    macKeys,
  ),
  WEBAUTHN_RP_ID: setting(
    'The domain that passkeys belong to. A passkey is lost when it changes. The default is the host of ISSUER',
    ({ issuer }) => new URL(issuer).hostname,
    domain,
  ),
  WEBAUTHN_ORIGINS: setting<readonly string[]>(
    'The exact origins of the pages that use passkeys, comma-separated. The default is the origin of ISSUER',
    ({ issuer }) => [new URL(issuer).origin],
    webOrigins,
  ),
  CORS_ORIGINS: setting<readonly string[]>(
    'The exact origins of pages that may call the routes of people from a browser, comma-separated; without it none',
    () => [],
    corsOrigins,
  ),
  REFRESH_COOKIE: setting(
    'on: pages on CORS_ORIGINS may keep the refresh token in a cookie that scripts cannot read; or off',
    'off',
    oneOf('on', 'off'),
  ),
  BOOTSTRAP_CLIENT: optional(
    'ID:SECRET of a client with the scopes introspect and admin, created if missing. Or BOOTSTRAP_CLIENT_FILE',
    clientCredentials,
  ),
  ACCOUNT_CLAIMS: setting<string[]>(
    'Claims of an account that its tokens carry, comma-separated, such as email,tenant,plan; without it they carry none',
    () => [],
    accountClaims,
  ),
  PASSWORD_MIN_LENGTH: setting(
    'Characters in a new password (NIST SP 800-63B-4: 15 for a single factor)',
    '15',
    wholeNumber(8, 64),
  ),
  HASH_CONCURRENCY: optional(
    'Passwords hashed at the same time; the default is one less than the cores',
    wholeNumber(1, 1024),
  ),
  HASH_QUEUE: setting('Passwords that may wait to be hashed; past this limit, 503', '64', wholeNumber(0, 100_000)),
  HASH_COST: setting(
    'full; or test: password hashes without strength, for a test suite. Production refuses test',
    'full',
    oneOf('full', 'test'),
  ),
  TRUST_PROXY: optional('Addresses or CIDRs whose X-Forwarded-For is trusted, comma-separated', addressRanges),
  LOG_LEVEL: setting(
    'The lowest level that is logged',
    'info',
    oneOf('trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'),
  ),
  OTEL_EXPORTER_OTLP_ENDPOINT: optional(
    'Where traces are sent, as OTLP over HTTP, such as http://collector:4318; without it the service makes none',
    httpUrl,
  ),
  DOCS: setting(
    '/docs and /openapi.json: on or off; off is the default in production',
    ({ production }) => (production ? 'off' : 'on'),
    oneOf('on', 'off'),
  ),
  CONSOLE: setting(
    '/console, the page for operators: on or off; off is the default in production',
    ({ production }) => (production ? 'off' : 'on'),
    oneOf('on', 'off'),
  ),
}

export type SettingName = keyof typeof settings

/** The settings that can also be given as NAME_FILE, the path of a file that holds the value. */
export const secretSettings = [
  'JWT_SECRET',
  'REFRESH_SECRET',
  'DATA_SECRET',
  'DATABASE_URL',
  'REDIS_URL',
  'REDIS_SENTINEL_MASTER',
  'BOOTSTRAP_CLIENT',
] as const

/** The default of a setting in development, as an operator would write it. Empty: the setting has none. */
export function defaultText(name: SettingName): string {
  const { default: value } = settings[name]
  if (typeof value === 'string') return value
  const port = Number(settings.PORT.default)
  return String(value({ production: false, port, issuer: `http://localhost:${port}` }) ?? '')
}
