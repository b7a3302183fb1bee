import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { type Test, test } from 'tap'
import { ConfigError, readConfig } from '../../src/config/read.js'
import { secretSettings, type settings } from '../../src/config/settings.js'
import { makeCertificates } from '../support/servers/certificates.js'
import { type Environment, JWT_SECRET, REFRESH_SECRET, temporaryFolder } from '../support/service.js'

const CLIENT = 'todo:u5Ty8Rk2-Xn4Vd7Gq0Jw3Lb6Zs9Hc1Fm5P'
const SECRETS = { JWT_SECRET, REFRESH_SECRET, BOOTSTRAP_CLIENT: CLIENT }
const PRODUCTION = { NODE_ENV: 'production', ...SECRETS }

/** The faults of an environment. Empty when it is accepted. */
function faultsOf(env: Environment): readonly string[] {
  try {
    readConfig(env)
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.faults
    throw error
  }
}

function file(t: Test, content: string | Buffer): string {
  const path = join(temporaryFolder(t), 'secret')
  writeFileSync(path, content)
  return path
}

test('when only the secrets are set, every other setting has its documented default', async (t) => {
  const config = readConfig(SECRETS)
  t.strictSame(config, {
    production: false,
    host: '127.0.0.1',
    exposed: false,
    tls: undefined,
    port: 3000,
    managementPort: 9000,
    issuer: 'http://localhost:3000',
    audiences: ['http://localhost:3000'],
    jwtSecrets: [JWT_SECRET],
    jwtSecretMode: 'shared',
    jwtKeysFile: undefined,
    refreshSecrets: [REFRESH_SECRET],
    databaseUrl: 'sqlite:data/latchkey.db',
    databaseUrlFile: undefined,
    redis: undefined,
    accessTtl: 15 * 60_000,
    refreshTtl: 7 * 86_400_000,
    sessionMaxAge: 0,
    refreshGrace: 30_000,
    sessionsPerUser: 100,
    signUp: 'open',
    mfa: 'optional',
    dataSecrets: [],
    relyingParty: { id: 'localhost', origins: ['http://localhost:3000'] },
    bootstrapClient: { id: 'todo', secret: 'u5Ty8Rk2-Xn4Vd7Gq0Jw3Lb6Zs9Hc1Fm5P' },
    accountClaims: [],
    corsOrigins: [],
    cookieOrigins: undefined,
    passwordMinLength: 15,
    hashConcurrency: Math.max(1, availableParallelism() - 1),
    hashQueue: 64,
    hashCost: 'full',
    trustProxy: undefined,
    logLevel: 'info',
    tracesEndpoint: undefined,
    docs: true,
    console: true,
    missing: [],
  })
  t.ok(Object.isFrozen(config))
})

test('in production sign-up is closed, and /docs and /console are off, unless SIGNUP, DOCS and CONSOLE are set', async (t) => {
  const config = readConfig(PRODUCTION)
  t.match(config, { production: true, signUp: 'closed', docs: false, console: false })
  t.strictSame(config.missing, [])
  t.match(readConfig({ ...PRODUCTION, SIGNUP: 'open', DOCS: 'on', CONSOLE: 'on' }), {
    signUp: 'open',
    docs: true,
    console: true,
  })
})

test('O8: NODE_ENV is production, development or test, or not set; any other value is a fault', async (t) => {
  for (const NODE_ENV of ['prod', 'staging', 'Production', 'PRODUCTION', 'dev', 'production,', 'productoin', '1']) {
    for (const env of [SECRETS, {}]) {
      t.strictSame(faultsOf({ ...env, NODE_ENV }), ['NODE_ENV: write one of: production, development, test'], NODE_ENV)
    }
  }
  for (const NODE_ENV of ['', ' ', '\n']) {
    t.strictSame(faultsOf({ ...SECRETS, NODE_ENV }), [
      'NODE_ENV: is empty: write one of: production, development, test',
    ])
  }
  t.match(readConfig({ ...PRODUCTION, NODE_ENV: ' production\n' }), { production: true, signUp: 'closed', docs: false })
  for (const NODE_ENV of ['development', 'test']) t.match(readConfig({ ...SECRETS, NODE_ENV }), { production: false })
})

test('the default of ISSUER follows PORT, and the default of AUDIENCE follows ISSUER', async (t) => {
  t.match(readConfig({ ...SECRETS, PORT: '8080' }), {
    issuer: 'http://localhost:8080',
    audiences: ['http://localhost:8080'],
  })
  t.match(readConfig({ ...SECRETS, ISSUER: 'https://auth.example.com/' }), {
    issuer: 'https://auth.example.com/',
    audiences: ['https://auth.example.com/'],
  })
})

test('white space around a value does not count, and an empty value counts as not set', async (t) => {
  t.match(readConfig({ ...SECRETS, AUDIENCE: ' todo , mail ', PORT: ' 8080 ', REDIS_URL: '  ', ACCESS_TTL: '' }), {
    audiences: ['todo', 'mail'],
    port: 8080,
    redis: undefined,
    accessTtl: 15 * 60_000,
  })
})

test('a duration has a unit, and a secret setting may hold several secrets', async (t) => {
  const two = `${JWT_SECRET},${'another-'.repeat(4)}secret`
  const config = readConfig({
    ...SECRETS,
    JWT_SECRET: two,
    ACCESS_TTL: '90s',
    REFRESH_TTL: '12h',
    SESSION_MAX_AGE: '30d',
    REFRESH_GRACE: '0',
  })
  t.match(config, { accessTtl: 90_000, refreshTtl: 43_200_000, sessionMaxAge: 2_592_000_000, refreshGrace: 0 })
  t.strictSame(config.jwtSecrets, two.split(','))
})

test('all faults are reported together', async (t) => {
  const env = {
    PORT: '80a',
    MANAGEMENT_PORT: '70000',
    ISSUER: 'auth.example.com',
    JWT_SECRET: 'short',
    DATABASE_URL: 'mysql://localhost/latchkey',
    ACCESS_TTL: '15',
    SESSIONS_PER_USER: '0',
    SIGNUP: 'yes',
    TRUST_PROXY: 'true',
    LOG_LEVEL: 'loud',
  }
  const expected = [
    'PORT: write a whole number from 0 to 65535',
    'MANAGEMENT_PORT: write a whole number from 0 to 65535',
    'ISSUER: write an address that begins with http:// or https://',
    'DATABASE_URL: write sqlite:PATH or postgres://user:password@host/database',
    'JWT_SECRET: the secret is shorter than 32 bytes: make one with  openssl rand -base64 48',
    'ACCESS_TTL: write a duration such as 30s, 15m, 12h or 7d',
    'SESSIONS_PER_USER: write a whole number from 1 to 10000',
    'SIGNUP: write one of: open, closed',
    'TRUST_PROXY: write addresses or ranges such as 10.0.0.0/8, comma-separated',
    'LOG_LEVEL: write one of: trace, debug, info, warn, error, fatal, silent',
  ]
  t.strictSame([...faultsOf(env)].sort(), expected.sort())
  t.throws(() => readConfig(env), { message: `the configuration has 10 faults:\n  ${faultsOf(env).join('\n  ')}` })
})

test('each fault says what to write', async (t) => {
  const rows: [keyof typeof settings, string, RegExp][] = [
    ['ISSUER', 'ftp://example.com', /begins with http/],
    ['ISSUER', 'https://example.com/?tenant=1', /no query and no fragment/],
    ['AUDIENCE', 'todo,,mail', /an item of the list is empty/],
    ['JWT_SECRET', `${JWT_SECRET},short`, /secret 2 of 2 is shorter than 32 bytes/],
    ['JWT_SECRET', `${JWT_SECRET},${JWT_SECRET}`, /given twice/],
    ['JWT_SECRET', `${JWT_SECRET},`, /an item of the list is empty/],
    ['REFRESH_SECRET', 'x'.repeat(31), /shorter than 32 bytes/],
    ['REFRESH_SECRET', JWT_SECRET, /must differ from JWT_SECRET/],
    ['DATABASE_URL', 'sqlite:', /name a file/],
    ['REDIS_URL', 'localhost:6379', /begins with redis:\/\/ or rediss:\/\//],
    ['ACCESS_TTL', '0', /more than 0/],
    ['ACCESS_TTL', '25h', /more than 24h/],
    ['REFRESH_TTL', '-7d', /write a duration/],
    ['MANAGEMENT_PORT', 'tcp://10.0.0.1:9000', /is the link of a Kubernetes service: set enableServiceLinks: false/],
    ['REFRESH_TTL', '1.5h', /write a duration/],
    ['SESSIONS_PER_USER', '1e2', /whole number/],
    ['BOOTSTRAP_CLIENT', 'todo', /ID:SECRET/],
    ['BOOTSTRAP_CLIENT', `to do:${'x'.repeat(32)}`, /with an id of letters/],
    ['BOOTSTRAP_CLIENT', 'todo:short', /shorter than 32 bytes/],
    ['BOOTSTRAP_CLIENT', `todo:${'ü'.repeat(32)}`, /printable ASCII/],
    ['PASSWORD_MIN_LENGTH', '7', /from 8 to 64/],
    ['HASH_CONCURRENCY', '0', /from 1 to/],
    ['HOST', '[::]', /without brackets, such as ::/],
    ['TRUST_PROXY', '10.0.0.0/33', /addresses or ranges/],
    ['TRUST_PROXY', '10.0.0.0/8/8', /addresses or ranges/],
    ['TRUST_PROXY', '0.0.0.0/0', /would trust every caller/],
    ['TRUST_PROXY', '::/0', /would trust every caller/],
    ['DOCS', 'true', /one of: on, off/],
    ['CONSOLE', 'yes', /one of: on, off/],
    ['MANAGEMENT_PORT', '3000', /must differ from PORT/],
  ]
  for (const [name, value, fault] of rows) {
    const faults = faultsOf({ ...SECRETS, [name]: value })
    t.equal(faults.length, 1, `${name}=${value} is one fault`)
    t.match(faults[0], new RegExp(`^${name}: `))
    t.match(faults[0], fault)
  }
})

test('REDIS_MODE decides how many nodes REDIS_URL may name and whether a master name is needed; replicas need a Redis', (t) => {
  const nodes = 'rediss://ada:pw@one:7000, rediss://ada:pw@two:7000'
  t.match(readConfig({ ...SECRETS, REDIS_URL: nodes, REDIS_MODE: 'cluster', REDIS_WAIT_REPLICAS: '1' }), {
    redis: { mode: 'cluster', urls: nodes.split(', '), urlFile: undefined, sentinelMaster: undefined, waitReplicas: 1 },
  })
  const rows: [Environment, RegExp][] = [
    [{ REDIS_URL: nodes }, /^REDIS_URL: names several nodes: set REDIS_MODE/],
    [{ REDIS_URL: 'redis://one,rediss://two', REDIS_MODE: 'cluster' }, /^REDIS_URL: the nodes differ in TLS/],
    [{ REDIS_URL: 'redis://one/main' }, /^REDIS_URL: only the number of a database may follow the host/],
    [{ REDIS_URL: 'redis://:50%off@one' }, /^REDIS_URL: a % in the user name or the password must be written as %25$/],
    [{ REDIS_URL: 'redis://one/1', REDIS_MODE: 'cluster' }, /^REDIS_URL: a cluster has only database 0/],
    [{ REDIS_URL: 'redis://one', REDIS_MODE: 'sentinel' }, /^REDIS_SENTINEL_MASTER: must be set/],
    [
      { REDIS_URL: 'redis://one', REDIS_SENTINEL_MASTER: 'mymaster' },
      /^REDIS_SENTINEL_MASTER: is set without REDIS_MODE=sentinel/,
    ],
    [{ REDIS_MODE: 'cluster' }, /^REDIS_URL: must be set when REDIS_MODE is cluster/],
    [{ REDIS_WAIT_REPLICAS: '1' }, /^REDIS_WAIT_REPLICAS: is set without REDIS_URL/],
    [{ REDIS_URL: 'localhost', REDIS_MODE: 'cluster', REDIS_WAIT_REPLICAS: '1' }, /^REDIS_URL: write an address/],
  ]
  for (const [env, fault] of rows) {
    const faults = faultsOf({ ...SECRETS, ...env })
    t.equal(faults.length, 1, JSON.stringify(env))
    t.match(faults[0], fault)
  }
  t.end()
})

test('every secret setting can come from a file; a line break at its end does not count', async (t) => {
  const values = {
    ...SECRETS,
    DATA_SECRET: 'data-4Tw8Kc1Vn6Xs3Bz9Qm5Jh7Rf2Lg0Pd',
    DATABASE_URL: 'postgres://latchkey:pw@db/latchkey',
    REDIS_URL: 'redis://:pw@cache:6379',
    REDIS_SENTINEL_MASTER: 'latchkey:pw@mymaster',
  }
  const files = Object.fromEntries(secretSettings.map((name) => [`${name}_FILE`, file(t, `${values[name]}\n`)]))
  const env = { ...files, REDIS_MODE: 'sentinel' }
  t.match(readConfig(env), {
    jwtSecrets: [JWT_SECRET],
    refreshSecrets: [REFRESH_SECRET],
    dataSecrets: [values.DATA_SECRET],
    databaseUrl: values.DATABASE_URL,
    databaseUrlFile: files.DATABASE_URL_FILE,
    redis: {
      mode: 'sentinel',
      urls: [values.REDIS_URL],
      urlFile: files.REDIS_URL_FILE,
      sentinelMaster: values.REDIS_SENTINEL_MASTER,
      waitReplicas: 0,
    },
    bootstrapClient: { id: 'todo' },
  })
  t.strictSame(faultsOf({ ...env, NODE_ENV: 'production' }), [])
  t.equal(
    readConfig({ ...SECRETS, PORT_FILE: file(t, '8080') }).port,
    3000,
    'a setting that is not a secret cannot come from a file',
  )
})

test('it is a fault to set a secret twice, or to name a file that is unreadable, empty or not UTF-8', async (t) => {
  for (const name of secretSettings) {
    const { [name]: _, ...others } = SECRETS as Environment
    const rows: [Environment, string][] = [
      [{ [name]: 'x', [`${name}_FILE`]: file(t, 'x') }, `${name}: is set, and so is ${name}_FILE: keep one of them`],
      [{ [`${name}_FILE`]: '/nowhere/secret' }, `${name}: ${name}_FILE cannot be read: ENOENT`],
      [{ [`${name}_FILE`]: temporaryFolder(t) }, `${name}: ${name}_FILE cannot be read: EISDIR`],
      [{ [`${name}_FILE`]: file(t, ' \n') }, `${name}: ${name}_FILE names a file that is empty`],
      [
        { [`${name}_FILE`]: file(t, Buffer.from('9fKq2Lx7Zr4Vb1Nc\xff8Mw5Td3Hs6Gp0Yj9fKq2Lx7', 'latin1')) },
        `${name}: is not UTF-8: write it as text, random bytes for example as base64`,
      ],
    ]
    for (const [env, fault] of rows) {
      t.strictSame(faultsOf({ ...others, ...env }), [fault])
      t.strictSame(faultsOf({ NODE_ENV: 'production', ...others, ...env }), [fault])
    }
  }
})

test('JWT_KEYS_FILE replaces JWT_SECRET, and the faults of the file are reported at the start', async (t) => {
  const { JWT_SECRET: _, ...others } = PRODUCTION
  const d = 'Zq7canary'.repeat(5)
  const oct = (k: string) => JSON.stringify({ keys: [{ kty: 'oct', k: Buffer.from(k).toString('base64url') }] })
  const path = file(t, oct(JWT_SECRET))
  const config = readConfig({ ...others, JWT_KEYS_FILE: path })
  t.equal(config.jwtKeysFile, path)
  t.strictSame(config.jwtSecrets, [])
  t.strictSame(readConfig({ ...others, NODE_ENV: 'development', JWT_KEYS_FILE: path }).missing, [])

  const rows: [string, RegExp][] = [
    ['/nowhere/keys.json', /the file cannot be read: ENOENT/],
    [file(t, `{"keys":[${d}`), /not JSON/],
    [file(t, '{"keys":[]}'), /no list "keys", or the list is empty/],
    [file(t, oct('short')), /key 1 of 1: k is shorter than 32 bytes/],
    [
      file(t, JSON.stringify({ keys: [{ kty: 'EC', crv: 'P-256', x: d, y: d, d }] })),
      /key 1 of 1: the key cannot be read/,
    ],
  ]
  for (const [keys, fault] of rows) {
    const faults = faultsOf({ ...others, JWT_KEYS_FILE: keys })
    t.match(faults, [/^JWT_KEYS_FILE: /])
    t.match(faults[0], fault)
    t.notMatch(faults.join(), 'Zq7canary')
  }
  t.match(faultsOf({ ...PRODUCTION, JWT_KEYS_FILE: path }), [
    'JWT_KEYS_FILE: is set, and so is JWT_SECRET: keep one of them',
  ])
})

test('C4: production refuses to start without its secrets', async (t) => {
  t.strictSame(faultsOf({ NODE_ENV: 'production' }), [
    'JWT_SECRET: must be set in production: make one with  openssl rand -base64 48',
    'REFRESH_SECRET: must be set in production: make one with  openssl rand -base64 48',
  ])
  t.strictSame(faultsOf({ NODE_ENV: 'production', JWT_SECRET, REFRESH_SECRET }), [], 'BOOTSTRAP_CLIENT is optional')
})

test('production refuses HASH_COST=test', async (t) => {
  const fault = 'HASH_COST: test is refused in production: set full, or leave it out'
  t.strictSame(faultsOf({ ...PRODUCTION, HASH_COST: 'test' }), [fault])
  t.strictSame(faultsOf({ ...PRODUCTION, HASH_COST: 'full' }), [])
  t.strictSame(faultsOf({ ...SECRETS, HASH_COST: 'none' }), ['HASH_COST: write one of: full, test'])
  t.equal(readConfig({ ...SECRETS, HASH_COST: 'test' }).hashCost, 'test')
})

test('C4: production refuses a secret that is too short, or in both JWT_SECRET and REFRESH_SECRET', async (t) => {
  t.match(faultsOf({ ...PRODUCTION, JWT_SECRET: 'k9!Zr' }), [/^JWT_SECRET: .*shorter than 32 bytes/])
  t.match(faultsOf({ ...PRODUCTION, REFRESH_SECRET: JWT_SECRET }), [/^REFRESH_SECRET: must differ/])
  t.match(faultsOf({ ...PRODUCTION, REFRESH_SECRET: `${REFRESH_SECRET},${JWT_SECRET}` }), [/^REFRESH_SECRET: must/])
})

test('C4: production refuses a secret from a manual and a secret with a pattern', async (t) => {
  const wellKnown = [
    'change-me-change-me-change-me-change-me',
    'your-256-bit-secret-your-256-bit-secret',
    'a-string-secret-at-least-256-bits-long',
    'super-secret-jwt-token-with-at-least-32-characters-long',
    'replace_this_with_a_long_random_string_of_32_bytes',
    'secretsecretsecretsecretsecretsecret',
    '00000000000000000000000000000000',
    'abcdefghijklmnopqrstuvwxyz0123456789',
    '0123456789abcdef0123456789abcdef',
  ]
  for (const secret of wellKnown) {
    t.match(faultsOf({ ...PRODUCTION, JWT_SECRET: secret }), [/^JWT_SECRET: a secret can be guessed/], secret)
    t.match(faultsOf({ ...PRODUCTION, REFRESH_SECRET: secret }), [/^REFRESH_SECRET: a secret can/], secret)
    t.match(faultsOf({ ...PRODUCTION, BOOTSTRAP_CLIENT: `todo:${secret}` }), [/^BOOTSTRAP_CLIENT: the secret can/])
    t.match(faultsOf({ ...PRODUCTION, JWT_SECRET: `${JWT_SECRET},${secret}` }), [
      /^JWT_SECRET: a secret can be guessed/,
    ])
  }
  for (let i = 0; i < 2000; i += 1) {
    const secret = randomBytes(32).toString(i % 2 ? 'base64' : 'hex')
    const faults = faultsOf({ ...PRODUCTION, JWT_SECRET: secret })
    if (faults.length > 0) t.fail(`a random secret was refused: ${secret}`)
  }
})

test('C4: no fault repeats any part of a secret', async (t) => {
  const canary = 'Zq7canaryZq7'
  const broken: Environment = {
    JWT_SECRET: canary,
    REFRESH_SECRET: `${canary},${canary}`,
    DATABASE_URL: `mysql://latchkey:${canary}@db/latchkey`,
    REDIS_URL: `http://:${canary}@cache`,
    BOOTSTRAP_CLIENT: `todo:${canary}`,
  }
  for (const NODE_ENV of ['production', 'development']) {
    const faults = faultsOf({ NODE_ENV, ...broken })
    t.equal(faults.length, 5)
    t.notMatch(faults.join('\n'), canary)
    const files = Object.entries(broken).map(([name, value]) => [`${name}_FILE`, file(t, value)])
    const faultsOfFiles = faultsOf({ NODE_ENV, ...Object.fromEntries(files) })
    t.equal(faultsOfFiles.length, 5)
    t.notMatch(faultsOfFiles.join('\n'), canary)
  }
  const patterned = `${canary}-`.repeat(4)
  const faults = faultsOf({ ...PRODUCTION, JWT_SECRET: patterned, BOOTSTRAP_CLIENT: `todo:${patterned}` })
  t.equal(faults.length, 2)
  t.notMatch(faults.join('\n'), canary)
})

test('lifetimes that contradict each other are faults; a test may shorten a session', async (t) => {
  const rows: [Environment, RegExp][] = [
    [{ REFRESH_TTL: '5m' }, /^REFRESH_TTL: must not be shorter than ACCESS_TTL/],
    [{ ACCESS_TTL: '24h', REFRESH_TTL: '12h' }, /^REFRESH_TTL: must not be shorter than ACCESS_TTL/],
    [{ SESSION_MAX_AGE: '5m' }, /^SESSION_MAX_AGE: must not be shorter than ACCESS_TTL/],
    [{ REFRESH_GRACE: '30d', REFRESH_TTL: '90d' }, /^REFRESH_GRACE: must be at most 1d/],
    [{ REFRESH_GRACE: '12h', REFRESH_TTL: '12h' }, /^REFRESH_GRACE: must be shorter than REFRESH_TTL/],
  ]
  for (const [env, fault] of rows) {
    const faults = faultsOf({ ...PRODUCTION, ...env })
    t.equal(faults.length, 1, JSON.stringify(env))
    t.match(faults[0], fault)
  }
  t.strictSame(faultsOf({ ...SECRETS, NODE_ENV: 'test', REFRESH_TTL: '3s' }), [])
  t.equal(faultsOf({ ...SECRETS, NODE_ENV: 'test', REFRESH_GRACE: '30d' }).length, 1)
})

test('TLS needs a certificate and its own key, and a fault repeats no part of the key', async (t) => {
  const [one, two] = [makeCertificates(temporaryFolder(t)), makeCertificates(temporaryFolder(t))]
  const rows: [Environment, RegExp | undefined][] = [
    [{ TLS_CERT_FILE: one.certificate, TLS_KEY_FILE: one.key }, undefined],
    [{ TLS_CERT_FILE: one.certificate }, /^TLS_KEY_FILE: must be set, because TLS_CERT_FILE is set$/],
    [{ TLS_KEY_FILE: one.key }, /^TLS_CERT_FILE: must be set, because TLS_KEY_FILE is set$/],
    [{ TLS_CERT_FILE: one.certificate, TLS_KEY_FILE: two.key }, /^TLS_KEY_FILE: the key does not fit/],
    [{ TLS_CERT_FILE: one.key, TLS_KEY_FILE: one.key }, /^TLS_CERT_FILE: write a certificate chain as PEM$/],
    [{ TLS_CERT_FILE: one.certificate, TLS_KEY_FILE: one.certificate }, /^TLS_KEY_FILE: write a private key as PEM/],
    [{ TLS_CERT_FILE: '/nowhere/tls.crt', TLS_KEY_FILE: one.key }, /^TLS_CERT_FILE: the file cannot be read: ENOENT$/],
  ]
  for (const [env, fault] of rows) {
    const faults = faultsOf({ ...PRODUCTION, ...env })
    t.equal(faults.length, fault ? 1 : 0, JSON.stringify(env))
    if (fault) t.match(faults[0], fault)
  }
})
