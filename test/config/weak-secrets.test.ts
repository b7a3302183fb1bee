import { randomBytes, randomUUID } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'tap'
import { parseProductionKeys } from '../../src/config/parsers.js'
import { ConfigError, readConfig } from '../../src/config/read.js'
import { weaknessOf } from '../../src/config/weak-secrets.js'
import { type Environment, JWT_SECRET, REFRESH_SECRET, temporaryFolder } from '../support/service.js'

const PRODUCTION = { NODE_ENV: 'production', JWT_SECRET, REFRESH_SECRET }

function faultsOf(env: Environment): readonly string[] {
  try {
    readConfig(env)
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.faults
    throw error
  }
}

const keySet = (secret: string | Buffer) =>
  JSON.stringify({ keys: [{ kty: 'oct', k: Buffer.from(secret).toString('base64url') }] })

/** Secrets from manuals, examples, and lists that attackers try. */
const MADE_OF_WORDS = [
  '!ChangeThisMercureHubJWTSecretKey!',
  'my-32-character-ultra-secure-and-ultra-long-secret',
  'super-secret-jwt-token-with-at-least-32-characters-long',
  'THIS IS USED TO SIGN AND VERIFY JWT TOKENS, REPLACE IT WITH YOUR OWN SECRET, IT CAN BE ANY STRING',
  'ThisIsJustAnExampleItShouldBeLongAndRandom',
  'thisisthesecretkeyforsigningtokens',
  'a random, long, sequence of characters that only the server knows',
  'izanamiSecretabitmorelongbecauseitdoesntworkwithshorttoken',
  'YoUR sUpEr S3krEt 1337 HMAC kEy HeRE',
  'correct horse battery staple correct horse',
  'keep it secret, keep it safe, keep it here',
  'TokenMegaUltraSecretoQueNadieDebeSaberNuncaJamas',
  'i-will-be-a-billionaire-oneday-and-my-family-will-be-proud-of-me',
  // A secret from above in hex and in Base64.
  Buffer.from('my-32-character-ultra-secure-and-ultra-long-secret').toString('hex'),
  Buffer.from('my-32-character-ultra-secure-and-ultra-long-secret').toString('base64'),
]

const WITH_A_PATTERN = [
  'changeit'.repeat(26),
  'yeiyeiyeiyeiyeiyeiyeiyeiyeiyeiyei',
  'jwtsecret1234jwtsecret1234jwtsecret1234jwtsecret1234',
  'h8566MNQ18oo5cMmHROVh8566MNQ18oo5cMmHROVh8566MNQ18oo5cMmHROV',
  '01234567890abcde01234567890abcde01234567890abcde01234567890abcde',
  '1231232131231231231231231231231231231231231231231231#$$',
  '1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p',
  'asdfghjklqwertyuiopzxcvbnm1234567890',
  'abcdefghijklmnopqrstuvwxyz1234567890',
  // Two interleaved runs: allkeysgenerator.com made the keys of many tutorials in this way.
  '%C*F-JaNdRgUkXp2s5v8y/B?E(G+KbPeShVmYq3t6w9z$C&J@McQfTjWnZr4u7x!',
  Buffer.from(')H@McQfTjWnZr4u7w!z%C*F-JaNdRgUkXp2s5v8y/A?D(G+K').toString('hex'),
]

/** Random secrets that a specification or a manual has published. */
const PUBLISHED = [
  // The FastAPI tutorial.
  '09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7',
  // RFC 7515, appendix A.1.
  'AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr9Z9CAow',
]

test('C4: production refuses a secret that is made of words, follows a pattern, is published or is a UUID, and says why', async (t) => {
  const rows: [readonly string[], string][] = [
    [MADE_OF_WORDS, 'it is made of words, or follows a pattern'],
    [WITH_A_PATTERN, 'it is made of words, or follows a pattern'],
    [PUBLISHED, 'it is published'],
    [[randomUUID(), `{${randomUUID().toUpperCase()}}`], 'it is a UUID, which has 122 random bits at most'],
  ]
  const make = 'make one with  openssl rand -base64 48'
  for (const [secrets, why] of rows) {
    for (const secret of secrets) {
      if (!secret.includes(',')) {
        t.strictSame(
          faultsOf({ ...PRODUCTION, JWT_SECRET: secret }),
          [`JWT_SECRET: a secret can be guessed: ${why}: ${make}`],
          secret,
        )
        t.strictSame(faultsOf({ ...PRODUCTION, REFRESH_SECRET: `${REFRESH_SECRET},${secret}` }), [
          `REFRESH_SECRET: a secret can be guessed: ${why}: ${make}`,
        ])
      }
      if (!/[ ,]/.test(secret)) {
        t.strictSame(faultsOf({ ...PRODUCTION, BOOTSTRAP_CLIENT: `todo:${secret}` }), [
          `BOOTSTRAP_CLIENT: the secret can be guessed: ${why}: ${make}`,
        ])
      }
      t.throws(() => parseProductionKeys(keySet(secret)), {
        message: `a shared secret of the key file can be guessed: ${why}`,
      })
    }
  }
  const path = join(temporaryFolder(t), 'keys.json')
  writeFileSync(path, keySet('my-32-character-ultra-secure-and-ultra-long-secret'))
  const { JWT_SECRET: _, ...others } = PRODUCTION
  t.match(faultsOf({ ...others, JWT_KEYS_FILE: path }), [
    /^JWT_KEYS_FILE: a shared secret can be guessed: it is made of words/,
  ])
})

test('C4: production refuses a key whose bytes repeat, count up, or are published', async (t) => {
  for (const bytes of [Buffer.alloc(32), Buffer.alloc(40, 0x0a), Buffer.alloc(64, Buffer.from([1, 200, 7]))]) {
    t.throws(() => parseProductionKeys(keySet(bytes)), { message: /can be guessed/ })
  }
  t.throws(() => parseProductionKeys(keySet(Buffer.from(PUBLISHED[1] as string, 'base64url'))), /it is published/)
  t.throws(() => parseProductionKeys(keySet(Buffer.from(Array.from({ length: 32 }, (_, i) => i)))), /can be guessed/)
})

const pick = (alphabet: string, length: number) =>
  Array.from(randomBytes(length), (byte) => alphabet[byte % alphabet.length]).join('')
const CAPITALS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ'
const SMALL = CAPITALS.toLowerCase()
const SYMBOLS = '!"#$%&\'()*+,-./:;<=>?@[\\]^_`{|}~'

const generators: Record<string, () => string | Buffer> = {
  'openssl rand -hex 16': () => randomBytes(16).toString('hex'),
  'openssl rand -hex 32': () => randomBytes(32).toString('hex'),
  'openssl rand -hex 64, in capitals': () => randomBytes(64).toString('hex').toUpperCase(),
  'openssl rand -base64 48': () => randomBytes(48).toString('base64'),
  'base64url, 32 bytes': () => randomBytes(32).toString('base64url'),
  'two UUIDs': () => randomUUID() + randomUUID(),
  'hex in Base64, as a Secret of Kubernetes holds it': () =>
    Buffer.from(randomBytes(32).toString('hex')).toString('base64'),
  'base32, 32 bytes': () => pick(`${CAPITALS}234567`, 52),
  'small letters and digits': () => pick(`${SMALL}0123456789`, 32),
  'a password manager': () => pick(`${CAPITALS + SMALL}0123456789${SYMBOLS}`, 32),
  'bytes of a key': () => randomBytes(32),
}

// LATCHKEY_TEST_SECRETS=100000 takes two minutes on an idle core.
const ROUNDS = Number(process.env.LATCHKEY_TEST_SECRETS ?? 1000)

test(`C4: production accepts ${ROUNDS} random secrets of each kind`, async (t) => {
  for (const [kind, generate] of Object.entries(generators)) {
    const refused = Array.from({ length: ROUNDS }, generate).filter((secret) => weaknessOf(secret) !== undefined)
    t.strictSame(refused, [], kind)
  }
  t.strictSame(faultsOf({ ...PRODUCTION, JWT_SECRET: `${randomBytes(48).toString('base64')}` }), [])
})

test('C4: to judge a hostile secret of 64 KB takes less than 3 s of CPU', async (t) => {
  const hostile = [
    'changeit',
    'a',
    'ab',
    'secret',
    'abcdefghijklmno',
    '0123456789abcdef',
    '-',
    'aA',
    '%',
    '\u0000',
    'é',
  ]
  const time = (secret: string): number => {
    const begin = process.cpuUsage()
    weaknessOf(secret)
    const { user, system } = process.cpuUsage(begin)
    return (user + system) / 1000
  }
  time('warm')
  for (const part of hostile) {
    for (const end of ['', '!', 'é']) {
      const secret = part.repeat(Math.ceil((64 * 1024) / part.length)) + end
      const taken = time(secret)
      t.ok(taken < 3000, `${JSON.stringify(part)} again and again, 64 KB: ${taken.toFixed()} ms`)
    }
  }
})
