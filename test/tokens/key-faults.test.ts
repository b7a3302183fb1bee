import { generateKeyPairSync } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'tap'
import { ConfigError, readConfig } from '../../src/config/read.js'
import { type Algorithm, jwkSet, keyFileSettings, makeKey, publicJwk, writeKeyFile } from '../support/keys.js'
import { environment, PASSWORD, REFRESH_SECRET, startService, temporaryFolder } from '../support/service.js'

/** The joined faults of these settings. Empty when the service would start. */
function faultsOf(env: Record<string, string>): string {
  try {
    readConfig(env)
    return ''
  } catch (error) {
    if (error instanceof ConfigError) return error.faults.join('\n')
    throw error
  }
}

const jwk = (type: string, options: object) =>
  // biome-ignore lint/suspicious/noExplicitAny: one call for every kind of key
  (generateKeyPairSync as any)(type, options).privateKey.export({ format: 'jwk' })
const oct = (bytes: Buffer | string) => ({ kty: 'oct', k: Buffer.from(bytes).toString('base64url') })

test('J12: a weak, damaged, public or unsupported key is refused, and the fault repeats no key', async (t) => {
  const env = await environment(t, 'sqlite')
  const make = async (alg: Algorithm) => makeKey(alg)
  const [ec, otherEc, rsa, ed, otherEd, secret] = [
    await make('ES256'),
    await make('ES256'),
    await make('RS256'),
    await make('EdDSA'),
    await make('EdDSA'),
    await make('HS256'),
  ]
  const cases: [what: string, key: unknown, said: RegExp][] = [
    ['a short secret', oct('s3cr3t-canary'), /k is shorter than 32 bytes/],
    ['an empty secret', oct(''), /k is missing, or is not base64url/],
    ['a secret that is a pass phrase', { kty: 'oct', k: 'canary pass phrase, long enough it is!' }, /is not base64url/],
    ['a secret in plain base64', { kty: 'oct', k: `${secret.k}=` }, /is not base64url/],
    ['a secret that is a number', { kty: 'oct', k: 1234567890123456 }, /is not base64url/],
    ['an RSA key of 1024 bits', jwk('rsa', { modulusLength: 1024 }), /fewer than 2048 bits/],
    [
      'an RSA key with exponent 3',
      jwk('rsa', { modulusLength: 2048, publicExponent: 3 }),
      /public exponent below 65537/,
    ],
    ['an RSA key without its primes', { ...rsa, p: undefined, q: undefined }, /the private key cannot be read/],
    ['P-384', jwk('ec', { namedCurve: 'P-384' }), /use oct, EC P-256, RSA or Ed25519/],
    ['secp256k1', jwk('ec', { namedCurve: 'secp256k1' }), /key type is not supported/],
    ['X25519', jwk('x25519', {}), /key type is not supported/],
    ['a point off the curve', { ...ec, y: otherEc.y }, /the key cannot be read/],
    ["another EC key's private half", { ...ec, d: otherEc.d }, /private key and the public key do not belong together/],
    [
      "another Ed25519 key's private half",
      { ...ed, d: otherEd.d },
      /private key and the public key do not belong together/,
    ],
    ['a public key', publicJwk(ec), /is a public key: add the private key/],
    ['an EC key for ES384', { ...ec, alg: 'ES384' }, /alg is ES384: this type of key is for ES256/],
    ['an RSA key for PS256', { ...rsa, alg: 'PS256' }, /this type of key is for RS256/],
    ['an EC key for HS256', { ...ec, alg: 'HS256' }, /this type of key is for ES256/],
    ['a key for encryption', { ...rsa, use: 'enc' }, /use is not sig/],
    ['a key that only encrypts', { ...rsa, key_ops: ['encrypt'] }, /key_ops does not list sign/],
    ['a key that only verifies', { ...ec, key_ops: ['verify'] }, /key_ops does not list sign/],
    ['a secret that only verifies', { ...secret, key_ops: ['verify'] }, /key_ops does not list sign/],
    ['no operation at all', { ...ec, key_ops: [] }, /key_ops does not list sign/],
    ['an operation twice', { ...ec, key_ops: ['sign', 'sign'] }, /key_ops lists an operation twice/],
    ['key_ops that is a word', { ...ec, key_ops: 'sign' }, /key_ops is not a list of strings/],
    ['key_ops of numbers', { ...ec, key_ops: [1] }, /key_ops is not a list of strings/],
    [
      'key_ops that contradicts use',
      { ...rsa, use: 'sig', key_ops: ['sign', 'decrypt'] },
      /key_ops lists an operation that use does not allow/,
    ],
    ['a kid that is a number', { ...ec, kid: 7 }, /kid is not a string/],
    ['an empty kid', { ...ec, kid: '' }, /kid is not a string/],
    ['null', null, /is not an object/],
    ['text', 'canary', /is not an object/],
  ]
  for (const [what, key, said] of cases) {
    const fault = faultsOf({ ...env, ...keyFileSettings(writeKeyFile(t, otherEd, key as object)) })
    t.match(fault, /^JWT_KEYS_FILE: key 2 of 2: /, what)
    t.match(fault, said, what)
    const { k, d } = (key ?? {}) as { k?: unknown; d?: unknown }
    for (const member of [k, d, 'canary', '1234567890123456']) {
      if (member) t.notOk(fault.includes(String(member)), `${what}: it is not repeated`)
    }
  }
})

test('a key whose key_ops lists sign can sign, and its tokens verify', async (t) => {
  const [ec, secret] = [await makeKey('ES256'), await makeKey('HS256')]
  for (const key of [
    { ...ec, key_ops: ['sign'] },
    { ...ec, use: 'sig', key_ops: ['sign', 'verify'] },
    { ...secret, key_ops: ['sign'] },
    { ...secret, key_ops: ['verify', 'sign'] },
  ]) {
    const { api } = await startService(t, 'sqlite', keyFileSettings(writeKeyFile(t, key)))
    await api.signUp('ada', PASSWORD)
    t.equal(await api.isActive((await api.tokens('ada', PASSWORD)).access_token), true)
    // The published key is public, and a public key does not sign.
    for (const published of (await api.call('/.well-known/jwks.json')).body.keys) t.notOk('key_ops' in published)
  }
})

test('a key file that is not a JWK Set is refused, and the fault repeats nothing of the file', async (t) => {
  const env = await environment(t, 'sqlite')
  const key = await makeKey('ES256')
  const path = join(temporaryFolder(t), 'keys.json')
  const faultOf = (text: string) => {
    writeFileSync(path, text)
    return faultsOf({ ...env, ...keyFileSettings(path) })
  }
  t.match(faultOf(''), /the key file is not JSON/)
  t.match(faultOf(jwkSet(key).slice(0, -1)), /the key file is not JSON/)
  t.notOk(faultOf(`{"keys":[canary${key.d}]}`).includes('canary'))
  for (const text of ['null', '7', '[]', '{}', '{"keys":[]}', '{"keys":{}}', JSON.stringify(key)]) {
    t.match(faultOf(text), /not JSON|no list "keys", or the list is empty/, text.slice(0, 20))
  }
  t.match(faultOf(jwkSet(key, key)), /two keys have the same kid/)
  t.equal(faultOf(`\n  ${JSON.stringify({ keys: [key], note: 'x' }, null, 4)}\n`), '')
  t.match(faultsOf({ ...env, ...keyFileSettings(`${path}.missing`) }), /JWT_KEYS_FILE: the file cannot be read: ENOENT/)
})

test('JWT_SECRET and JWT_KEYS_FILE together are a fault, in every way to set the secret', async (t) => {
  const env = await environment(t, 'sqlite')
  const path = writeKeyFile(t, await makeKey('ES256'))
  const both = /JWT_KEYS_FILE: is set, and so is JWT_SECRET: keep one of them/
  t.match(faultsOf({ ...env, JWT_KEYS_FILE: path }), both)
  t.match(faultsOf({ ...env, JWT_KEYS_FILE: path, JWT_SECRET: 'short' }), both)
  const secretFile = join(temporaryFolder(t), 'secret')
  writeFileSync(secretFile, `${env.JWT_SECRET}\n`)
  t.match(faultsOf({ ...env, JWT_KEYS_FILE: path, JWT_SECRET: '', JWT_SECRET_FILE: secretFile }), both)
  t.equal(faultsOf({ ...env, JWT_KEYS_FILE: path, JWT_SECRET: ' ' }), '', 'empty is not set')
})

test('C4: production refuses a key file with a guessable secret, or with the secret of refresh tokens', async (t) => {
  const env = await environment(t, 'sqlite', { NODE_ENV: 'production', ISSUER: 'https://auth.example.com' })
  const faultOf = (...keys: object[]) => faultsOf({ ...env, ...keyFileSettings(writeKeyFile(t, ...keys)) })
  const ec = await makeKey('ES256')

  t.equal(faultOf(ec), '')
  for (const bytes of ['your-256-bit-secret-your-256-bit-secret', Buffer.alloc(32), Buffer.alloc(40, 0x0a)]) {
    t.match(faultOf(ec, oct(bytes)), /JWT_KEYS_FILE: a shared secret can be guessed/)
  }
  for (let round = 0; round < 50; round += 1)
    t.equal(faultOf(await makeKey('HS256')), '', 'one that is generated will do')
  t.match(faultOf(oct(REFRESH_SECRET)), /REFRESH_SECRET: must differ from the secrets of JWT_KEYS_FILE/)
  t.match(faultsOf({ ...env, JWT_SECRET: '' }), /JWT_SECRET: must be set in production/)
})
