import { createHmac, generateKeyPairSync, randomUUID } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import { join } from 'node:path'
import { createVerifier, type KeyOptions, type Verifier } from '@latchkey/verifier'
import { type Test, test } from 'tap'
import { decodeHeader } from '../support/decode.js'
import { eventually } from '../support/eventually.js'
import { listen } from '../support/key-server.js'
import { ISSUER, PASSWORD, type RunningService, startService, temporaryFolder } from '../support/service.js'
import { verdict, verdictOnce } from '../support/verifier-setup.js'

const kinds = {
  ES256: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  RS256: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
  EdDSA: () => generateKeyPairSync('ed25519'),
}

/** A new private JWK. */
function newKey(alg: keyof typeof kinds, kid: string) {
  return { ...kinds[alg]().privateKey.export({ format: 'jwk' }), kid, alg, use: 'sig' }
}

function verifierOf(keys: KeyOptions): Verifier {
  return createVerifier({ issuer: ISSUER, audience: ISSUER, keys, revocation: { mode: 'none' } })
}

/** A service that signs with the first of these keys, and a function that changes its keys. */
async function startWithKeys(t: Test, keys: object[]) {
  const file = join(temporaryFolder(t), 'keys.json')
  const write = (now: object[]) => writeFileSync(file, JSON.stringify({ keys: now }))
  write(keys)
  const service = await startService(t, 'sqlite', { JWT_KEYS_FILE: file, JWT_SECRET: '' })
  return { service, write, jwksUri: `${service.api.url}/.well-known/jwks.json` }
}

async function signIn({ api }: RunningService): Promise<string> {
  await api.signUp('ada', PASSWORD)
  return (await api.tokens('ada', PASSWORD)).access_token
}

/** Starts a server of keys. Returns the address of its JWK Set. */
async function serve(t: Test, listener: RequestListener): Promise<string> {
  return `http://127.0.0.1:${await listen(t, createServer(listener))}/jwks.json`
}

/** A token with these claims and any header, signed by HS256. */
function forge(header: object, secret: string | Buffer): string {
  const now = Math.floor(Date.now() / 1000)
  const claims = {
    iss: ISSUER,
    sub: 'ada',
    aud: ISSUER,
    exp: now + 60,
    iat: now,
    jti: '1',
    sid: '1',
    client_id: 'x',
    scope: '',
  }
  const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url')
  const input = `${encode(header)}.${encode(claims)}`
  return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`
}

for (const alg of Object.keys(kinds) as (keyof typeof kinds)[]) {
  test(`${alg}: the service's JWK Set verifies its tokens, by address or by value`, async (t) => {
    const { service, jwksUri } = await startWithKeys(t, [newKey(alg, 'first'), newKey('ES256', 'second')])
    const token = await signIn(service)
    t.equal(decodeHeader(token).alg, alg)

    const byAddress = verifierOf({ jwksUri })
    await byAddress.ready()
    t.equal(await verdict(byAddress, token), 'good')
    t.equal(await verdict(byAddress, `${token.slice(0, -8)}AAAAAAAA`), 'bad_signature')
    const jwks = (await service.api.call('/.well-known/jwks.json')).body
    t.equal(await verdict(verifierOf({ jwks }), token), 'good')
    t.equal(await verdict(verifierOf({ jwks: { keys: jwks.keys.slice(1) } }), token), 'unknown_key')

    // J4: the public key is not a secret.
    const [{ kid, ...jwk }] = jwks.keys
    for (const text of [JSON.stringify(jwk), JSON.stringify(jwks.keys[0])]) {
      t.equal(await verdict(byAddress, forge({ alg: 'HS256', typ: 'at+jwt', kid }, text)), 'unsupported_header')
    }

    await service.close()
    t.equal(await verdict(byAddress, token), 'good', 'goes on without the service')
  })
}

test('F27: a token that names a new key makes the verifier fetch it; a withdrawn key is not found again', async (t) => {
  const [before, after] = [newKey('ES256', 'before'), newKey('EdDSA', 'after')]
  const { service, write, jwksUri } = await startWithKeys(t, [before])
  const verifier = verifierOf({ jwksUri })
  await verifier.ready()
  const old = await signIn(service)

  write([after, before])
  const kidOf = (token: string) => decodeHeader(token).kid
  let fresh = ''
  await eventually(async () => {
    fresh = await signIn(service)
    return kidOf(fresh) === 'after'
  })
  t.equal(await verdict(verifier, fresh), 'good')
  t.equal(await verdict(verifier, old), 'good')
  write([after])
  await eventually(async () => (await service.api.call('/.well-known/jwks.json')).body.keys.length === 1)
  const later = verifierOf({ jwksUri })
  t.equal(await verdict(later, old), 'unknown_key')
})

test('a withdrawn key is removed, also if it was the last key', async (t) => {
  const { d, ...publicKey } = newKey('ES256', 'last')
  let keys: object[] = [publicKey]
  const verifier = verifierOf({
    jwksUri: await serve(t, (_request, response) => response.end(JSON.stringify({ keys }))),
  })
  await verifier.ready()
  const named = (kid: string) => verdict(verifier, forge({ alg: 'ES256', typ: 'at+jwt', kid }, 'x'))
  t.equal(await named('last'), 'bad_signature', 'the key is known')

  keys = []
  t.equal(await named('another'), 'unavailable', 'the keys are fetched again')

  t.equal(await named('last'), 'unavailable', 'the key is unknown now')
})

test('many unknown key ids cause few requests', async (t) => {
  const { publicKey } = kinds.ES256()
  let hits = 0
  const jwksUri = await serve(t, (_request, response) => {
    hits += 1
    setTimeout(() => response.end(JSON.stringify({ keys: [publicKey.export({ format: 'jwk' })] })), 50)
  })
  const verifier = verifierOf({ jwksUri })
  await verifier.ready()
  t.equal(hits, 1)
  const stranger = () => verdict(verifier, forge({ alg: 'ES256', typ: 'at+jwt', kid: randomUUID() }, 'x'))
  const verdicts = await Promise.all(Array.from({ length: 200 }, stranger))
  for (let i = 0; i < 200; i++) verdicts.push(await stranger())
  t.ok(verdicts.every((answer) => answer === 'unknown_key'))
  t.equal(hits, 2)
})

test('an address cannot deliver secrets or private keys, and a long, slow or redirected answer is refused', async (t) => {
  const secret = Buffer.alloc(32, 'k')
  const oct = { kty: 'oct', k: secret.toString('base64url'), kid: 'shared', alg: 'HS256' }
  const { d, ...publicKey } = newKey('ES256', 'public')
  let astray = 0
  const canary = await serve(t, (_request, response) => {
    astray += 1
    response.end(JSON.stringify({ keys: [publicKey] }))
  })
  const answering =
    (body: unknown): RequestListener =>
    (_request, response) =>
      response.end(JSON.stringify(body))

  const some = verifierOf({
    jwksUri: await serve(t, answering({ keys: [oct, { ...publicKey, d, kid: 'private' }, publicKey, 5, null] })),
  })
  await some.ready()
  t.equal(await verdict(some, forge({ alg: 'HS256', typ: 'at+jwt', kid: 'shared' }, secret)), 'unknown_key')

  const useless: Record<string, RequestListener> = {
    secrets: answering({ keys: [oct] }),
    'no set': answering([publicKey]),
    'too long': (_request, response) => response.end(JSON.stringify({ keys: [publicKey], more: 'x'.repeat(300_000) })),
    'too slow': (_request, response) => void response.write('{'),
    elsewhere: (_request, response) => response.writeHead(302, { location: canary }).end(),
    missing: (_request, response) => response.writeHead(404).end(JSON.stringify({ keys: [publicKey] })),
  }
  await Promise.all(
    Object.entries(useless).map(async ([name, listener]) => {
      const verifier = verifierOf({ jwksUri: await serve(t, listener) })
      await t.rejects(verifier.ready(), { message: /keys cannot be fetched/ }, name)
      t.equal(
        await verdictOnce(verifier, forge({ alg: 'HS256', typ: 'at+jwt', kid: 'shared' }, secret)),
        'unavailable',
        name,
      )
    }),
  )
  t.equal(astray, 0)
})

test('an address that is unreachable at first is fetched again', async (t) => {
  let isUp = false
  const key = newKey('ES256', 'only')
  const { service } = await startWithKeys(t, [key])
  const token = await signIn(service)
  const { d, ...publicKey } = key
  const jwksUri = await serve(t, (_request, response) =>
    isUp ? response.end(JSON.stringify({ keys: [publicKey] })) : response.writeHead(503).end(),
  )
  const verifier = verifierOf({ jwksUri })
  t.equal(await verdictOnce(verifier, token), 'unavailable')
  isUp = true
  await eventually(async () => (await verdict(verifier, token)) === 'good')
})

/** A token of a service that signs with this key. */
async function tokenOf(t: Test, key: object): Promise<string> {
  return signIn((await startWithKeys(t, [key])).service)
}

test('key_ops of a key must list verify: a given key without it is an error, a fetched one is skipped', async (t) => {
  const { d, ...publicKey } = newKey('ES256', 'only')
  const { use, ...bare } = publicKey
  const token = await tokenOf(t, { ...publicKey, d })
  const cases: [keyOps: unknown, said: RegExp | undefined, key?: object][] = [
    [['encrypt'], /key_ops does not list verify/],
    [['sign'], /key_ops does not list verify/],
    [[], /key_ops does not list verify/],
    [['verify', 'verify'], /key_ops lists an operation twice/],
    [['verify', 'encrypt'], /key_ops lists an operation that use does not allow/],
    ['verify', /key_ops is not a list of strings/],
    [{ verify: true }, /key_ops is not a list of strings/],
    [null, /key_ops is not a list of strings/],
    [['verify'], undefined],
    [['sign', 'verify'], undefined],
    [['verify'], undefined, bare],
  ]
  for (const [keyOps, said, key = publicKey] of cases) {
    const what = JSON.stringify(keyOps)
    const jwks = { keys: [{ ...key, key_ops: keyOps as string[] }] }
    const jwksUri = await serve(t, (_request, response) => response.end(JSON.stringify(jwks)))
    if (said) {
      t.throws(() => verifierOf({ jwks }), { name: 'TypeError', message: said }, what)
      t.equal(await verdictOnce(verifierOf({ jwksUri }), token), 'unavailable', what)
    } else {
      t.equal(await verdict(verifierOf({ jwks }), token), 'good', what)
      t.equal(await verdict(verifierOf({ jwksUri }), token), 'good', what)
    }
  }
})

test('two different keys with one kid at an address are both ignored; the same key twice counts once', async (t) => {
  const { d, ...mine } = newKey('ES256', 'shared')
  const { d: _d, ...another } = newKey('ES256', 'shared')
  const { d: _e, ...ofAnotherKind } = newKey('EdDSA', 'shared')
  const { d: _f, ...other } = newKey('RS256', 'other')
  const token = await tokenOf(t, { ...mine, d })
  const verdictWith = async (keys: object[]) => {
    const jwksUri = await serve(t, (_request, response) => response.end(JSON.stringify({ keys })))
    return verdict(verifierOf({ jwksUri }), token)
  }
  for (const twin of [another, ofAnotherKind]) {
    t.equal(await verdictWith([other, mine, twin]), 'unknown_key')
    t.equal(await verdictWith([other, twin, mine]), 'unknown_key')
    t.equal(await verdictWith([mine, twin, mine, other]), 'unknown_key')
    t.equal(await verdictWith([mine, twin]), 'unavailable', 'there is no other key')
    t.throws(() => verifierOf({ jwks: { keys: [mine, twin] } as never }), { message: /two keys have the same kid/ })
  }
  t.equal(await verdictWith([mine, other, { ...mine }]), 'good')
  t.equal(await verdictWith([{ ...another, use: 'enc' }, mine]), 'good', 'a key that is passed over has no say')
})
