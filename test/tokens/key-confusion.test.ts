import { constants, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createAccessTokenCheck, sharedSecretKey, TokenError } from '@latchkey/verifier/access-token'
import { type Jwk, jwkThumbprint, verificationKeyFromJwk } from '@latchkey/verifier/jwk'
import { test } from 'tap'
import { secondsNow } from '../support/assertions.js'
import { claimsOf } from '../support/decode.js'
import { presentAtEveryEndpoint, refusedAnswers } from '../support/endpoints.js'
import { base64url } from '../support/hostile/forger.js'
import { signedWithPublicKey } from '../support/hostile/header.js'
import { Forger } from '../support/hostile/tokens.js'
import { JWT_SECRET, PASSWORD, startService, temporaryFolder } from '../support/service.js'

const pairs = {
  ES256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  RS256: generateKeyPairSync('rsa', { modulusLength: 2048 }),
  EdDSA: generateKeyPairSync('ed25519'),
}
type Alg = keyof typeof pairs

const kidOf = (key: KeyObject) =>
  jwkThumbprint((key.type === 'private' ? createPublicKey(key as never) : key).export({ format: 'jwk' }) as Jwk)

/** The claims, signed with a private key. */
function signed(claims: object, alg: Alg, header: object = {}): string {
  const { privateKey } = pairs[alg]
  const input = `${base64url({ alg, typ: 'at+jwt', kid: kidOf(privateKey), ...header })}.${base64url(claims)}`
  const signature = sign(alg === 'EdDSA' ? null : 'sha256', Buffer.from(input), {
    key: privateKey,
    dsaEncoding: 'ieee-p1363',
  })
  return `${input}.${signature.toString('base64url')}`
}

const now = secondsNow()
const forger = new Forger(
  JWT_SECRET,
  {
    iss: 'http://latchkey.test',
    sub: '4f7f0f4c-8a44-4a3b-9d0e-3f1f6f1f9a55',
    aud: 'http://latchkey.test',
    exp: now + 900,
    iat: now,
    jti: 'B3kV0wXq7QG0o2x1hXc9JA',
    sid: '9f8Hn1VnTz2cUWl0q3yJ8A',
    client_id: 'latchkey',
    scope: '',
  },
  '',
)
const { claims } = forger
const publicJwks = Object.values(pairs).map(({ publicKey }) => publicKey.export({ format: 'jwk' }) as Jwk)
/** Keys of every kind together. No key may verify for another. */
const check = createAccessTokenCheck({
  issuer: claims.iss,
  audiences: [claims.aud],
  keys: [sharedSecretKey(JWT_SECRET), ...publicJwks.map(verificationKeyFromJwk)],
})

function verdict(token: string): string {
  try {
    check(token)
    return 'taken'
  } catch (error) {
    return error instanceof TokenError ? error.code : String((error as Error).stack)
  }
}

/** J4: every form of every public key, under the `kid` of its pair and under its own. */
const confused = (Object.keys(pairs) as Alg[]).flatMap((alg) => {
  const { publicKey } = pairs[alg]
  return signedWithPublicKey(forger, alg, publicKey, kidOf(publicKey), 'unsupported_header')
})

test('a token of each kind of key is accepted', async (t) => {
  t.equal(verdict(forger.token()), 'taken')
  for (const alg of Object.keys(pairs) as Alg[]) t.equal(verdict(signed(claims, alg)), 'taken', alg)
})

test('J4: a public key of the key ring never works as a shared secret', async (t) => {
  for (const { what, token, code } of confused) t.equal(verdict(token), code, what)
})

test('J2, J3: a kid has one alg, whatever the header says', async (t) => {
  for (const alg of Object.keys(pairs) as Alg[]) {
    for (const other of ['HS256', 'ES256', 'RS256', 'EdDSA', 'ES384', 'PS256', 'RS512', 'Ed25519', 'none', '', null]) {
      if (other !== alg)
        t.equal(verdict(signed(claims, alg, { alg: other })), 'unsupported_header', `${alg} as ${other}`)
    }
    for (const other of Object.keys(pairs) as Alg[]) {
      const kid = kidOf(pairs[other].publicKey)
      if (other !== alg)
        t.equal(verdict(signed(claims, alg, { alg: other, kid })), 'bad_signature', `${alg} for ${other}`)
    }
    t.equal(
      verdict(signed(claims, alg, { kid: forger.header.kid })),
      'unsupported_header',
      'under the kid of the secret',
    )
    const jwk = pairs[alg].publicKey.export({ format: 'jwk' })
    t.equal(verdict(signed(claims, alg, { jwk })), 'unsupported_header', 'J8: a jwk that is one of ours')
  }
})

test('J28: an asymmetric signature is accepted only in the form of RFC 7518 and RFC 8037', async (t) => {
  for (const alg of Object.keys(pairs) as Alg[]) {
    const [header, payload, signature] = signed(claims, alg).split('.')
    const bytes = Buffer.from(signature as string, 'base64url')
    const { privateKey } = pairs[alg]
    const input = Buffer.from(`${header}.${payload}`)
    const others: Record<string, Buffer> = {
      zeroed: Buffer.alloc(bytes.length),
      'all ones': Buffer.alloc(bytes.length, 0xff),
      'a byte short': bytes.subarray(1),
      'cut to half': bytes.subarray(0, bytes.length / 2),
      'a zero more': Buffer.concat([Buffer.alloc(1), bytes]),
      'a zero behind': Buffer.concat([bytes, Buffer.alloc(1)]),
      'one zero': Buffer.alloc(1),
      'the half r zeroed': Buffer.concat([Buffer.alloc(bytes.length / 2), bytes.subarray(bytes.length / 2)]),
      'the half s zeroed': Buffer.concat([bytes.subarray(0, bytes.length / 2), Buffer.alloc(bytes.length / 2)]),
      'halves swapped': Buffer.concat([bytes.subarray(bytes.length / 2), bytes.subarray(0, bytes.length / 2)]),
    }
    if (alg === 'ES256') others.DER = sign('sha256', input, { key: privateKey, dsaEncoding: 'der' })
    if (alg === 'ES256') others['over SHA-512'] = sign('sha512', input, { key: privateKey, dsaEncoding: 'ieee-p1363' })
    if (alg === 'RS256') others['over SHA-1'] = sign('sha1', input, privateKey)
    if (alg === 'RS256')
      others.PSS = sign('sha256', input, { key: privateKey, padding: constants.RSA_PKCS1_PSS_PADDING })
    if (alg === 'EdDSA') others['S plus the order'] = withOrderAdded(bytes)
    for (const [what, other] of Object.entries(others)) {
      t.equal(verdict(`${header}.${payload}.${other.toString('base64url')}`), 'bad_signature', `${alg}: ${what}`)
    }
  }
})

/** Ed25519: a lax verifier also accepts S + L. RFC 8032 §5.1.7 forbids it. */
function withOrderAdded(signature: Buffer): Buffer {
  const order = 2n ** 252n + 27742317777372353535851937790883648493n
  const littleEndian = (bytes: Buffer) => BigInt(`0x${Buffer.from(bytes).reverse().toString('hex')}`)
  const s = (littleEndian(signature.subarray(32)) + order).toString(16).padStart(64, '0')
  return Buffer.concat([signature.subarray(0, 32), Buffer.from(s, 'hex').reverse()])
}

for (const alg of Object.keys(pairs) as Alg[]) {
  test(`J4: a service that signs with ${alg} refuses a token signed with its public key`, async (t) => {
    const file = join(temporaryFolder(t), 'keys.json')
    const { privateKey, publicKey } = pairs[alg]
    writeFileSync(file, JSON.stringify({ keys: [privateKey.export({ format: 'jwk' })] }))
    const { api } = await startService(t, 'sqlite', { JWT_SECRET: '', JWT_KEYS_FILE: file })
    await api.signUp('ada', PASSWORD)
    const live = await api.tokens('ada', PASSWORD)
    const attacker = new Forger(JWT_SECRET, claimsOf(live.access_token), '')

    t.equal(await api.isActive(signed(attacker.claims, alg)), true, 'with its private key it is live')
    const tokens = signedWithPublicKey(attacker, alg, publicKey, kidOf(publicKey), 'unsupported_header')
    t.equal(tokens.length > 10, true)
    for (const { what, token } of tokens) t.strictSame(await presentAtEveryEndpoint(api, token), refusedAnswers, what)
    t.strictSame(await presentAtEveryEndpoint(api, attacker.token()), refusedAnswers, 'nor one of a shared secret')
    t.equal(await api.isActive(live.access_token), true)
  })
}
