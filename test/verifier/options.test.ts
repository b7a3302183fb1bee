import { generateKeyPairSync } from 'node:crypto'
import { createVerifier, type VerifierOptions } from '@latchkey/verifier'
import { test } from 'tap'

const SECRET = 'a secret of thirty-two bytes or more'
const good: VerifierOptions = {
  issuer: 'https://auth.example.com',
  audience: 'todo',
  keys: { secrets: [SECRET] },
  revocation: { mode: 'none' },
}
const introspect = {
  mode: 'introspect',
  endpoint: 'http://localhost',
  clientId: 'a',
  clientSecret: 'b',
  cacheSeconds: 1,
}
const follow = { mode: 'follow', endpoint: 'http://localhost/revocations', clientId: 'a', clientSecret: 'b' }
const privateKey = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' })
const shortKey = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey.export({ format: 'jwk' })

const faults: [about: string, options: Record<string, unknown>, message: RegExp][] = [
  ['no issuer', { issuer: undefined }, /issuer/],
  ['an empty audience', { audience: '' }, /audience/],
  ['no audience in the list', { audience: [] }, /audience/],
  ['an empty audience in the list', { audience: ['todo', ''] }, /audience/],
  ['an option of no such name', { audiences: ['todo'] }, /audiences/],
  ['no keys', { keys: undefined }, /keys/],
  ['keys of no kind', { keys: {} }, /keys/],
  ['keys of two kinds', { keys: { secrets: [SECRET], jwksUri: 'https://a' } }, /keys/],
  ['no secret', { keys: { secrets: [] } }, /secrets/],
  ['a secret that is not set', { keys: { secrets: [undefined] } }, /secrets\[0\].*set/],
  ['a short secret', { keys: { secrets: [SECRET, 'short'] } }, /secrets\[1\].*32 bytes/],
  ['an empty set', { keys: { jwks: { keys: [] } } }, /jwks/],
  ['a private key', { keys: { jwks: { keys: [privateKey] } } }, /private/],
  ['a short key', { keys: { jwks: { keys: [shortKey] } } }, /2048/],
  ['a key of a kind unknown', { keys: { jwks: { keys: [{ kty: 'EC', crv: 'P-521' }] } } }, /key type is not supported/],
  ['a file as the address', { keys: { jwksUri: 'file:///etc/passwd' } }, /jwksUri/],
  ['no revocation', { revocation: undefined }, /revocation.mode must be/],
  ['no mode', { revocation: {} }, /revocation.mode must be/],
  ['a mode unknown', { revocation: { mode: 'hope' } }, /revocation.mode must be/],
  ['a word too much', { revocation: { mode: 'none', redis: 'redis://localhost' } }, /redis/],
  ['a misspelt option', { revocation: { mode: 'follow', redis: 'redis://localhost', maxStalenes: 1 } }, /maxStalenes/],
  ['no Redis', { revocation: { mode: 'follow' } }, /revocation.redis/],
  ['no Redis address', { revocation: { mode: 'lookup', redis: 'localhost:6379' } }, /revocation.redis/],
  ['a staleness of 0', { revocation: { mode: 'follow', redis: 'redis://a', maxStaleness: 0 } }, /maxStaleness/],
  ['a staleness in words', { revocation: { mode: 'follow', redis: 'redis://a', maxStaleness: '1s' } }, /maxStaleness/],
  ['an endpoint of no kind', { revocation: { ...introspect, endpoint: '/introspect' } }, /endpoint/],
  ['no credentials', { revocation: { ...introspect, clientSecret: undefined } }, /clientSecret/],
  ['no cacheSeconds', { revocation: { ...introspect, cacheSeconds: undefined } }, /cacheSeconds/],
  ['a service that is not a URL', { service: 'auth' }, /unknown|service/],
  ['an endpoint and a Redis', { revocation: { ...follow, redis: 'redis://a' } }, /redis/],
  ['a feed without credentials', { revocation: { ...follow, clientId: '' } }, /clientId/],
  ['a feed of no kind', { revocation: { ...follow, endpoint: 'redis://a' } }, /endpoint/],
  ['a feed with a staleness below 0', { revocation: { ...follow, maxStaleness: -1 } }, /maxStaleness/],
  ['cacheSeconds for ever', { revocation: { ...introspect, cacheSeconds: Number.POSITIVE_INFINITY } }, /cacheSeconds/],
]

for (const [about, options, message] of faults) {
  test(`${about} throws at once`, async (t) => {
    t.throws(() => createVerifier({ ...good, ...options } as VerifierOptions), { name: 'TypeError', message })
  })
}

test('the errors of wrong options repeat no secret', async (t) => {
  const secrets = ['hunter2', 'redis-password']
  for (const options of [
    { ...good, keys: { secrets: ['hunter2'] } },
    { ...good, revocation: { mode: 'lookup', redis: 'http://me:redis-password@localhost' } },
    { ...good, keys: { jwks: { keys: [{ kty: 'oct', k: 'hunter2' }] } } },
  ]) {
    try {
      createVerifier(options as VerifierOptions)
      t.fail('it was taken')
    } catch (error) {
      t.notOk(secrets.some((secret) => String((error as Error).stack).includes(secret)))
    }
  }
})

for (const [about, change, message] of [
  ['no URL', { service: 'auth.internal' }, /service/],
  ['no audience', { audience: [] }, /audience/],
  ['no client', { clientId: '' }, /clientId/],
  ['a secret that is not set', { clientSecret: undefined }, /clientSecret/],
  ['a staleness in words', { maxStaleness: '1s' }, /maxStaleness/],
  ['an option of the long form', { revocation: { mode: 'none' } }, /revocation/],
  ['keys of no kind', { keys: {} }, /keys/],
] as [string, object, RegExp][]) {
  test(`service: ${about} is told at once`, async (t) => {
    const short = { service: 'https://auth.internal', audience: 'todo', clientId: 'todo', clientSecret: 'secret' }
    t.throws(() => createVerifier({ ...short, ...change } as VerifierOptions), { name: 'TypeError', message })
  })
}
