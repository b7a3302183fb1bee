import { createHmac, createPrivateKey, createPublicKey, type JsonWebKey, type KeyObject, sign } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { decodeJwt } from 'jose'
import { type Test, test } from 'tap'
import type { Api } from '../support/api.js'
import {
  type Algorithm,
  jwkSet,
  keyFileSettings,
  makeKey,
  type PrivateKey,
  publicJwk,
  writeKeyFile,
} from '../support/keys.js'
import { PASSWORD, startService } from '../support/service.js'

type Header = Record<string, unknown>

const base64url = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url')
const toPrivate = (jwk: PrivateKey): KeyObject => createPrivateKey({ key: jwk as JsonWebKey, format: 'jwk' })

/** A token with this header for a live session. With an honest header the token is genuine. */
class Forger {
  constructor(readonly claims: object) {}

  /** Signed as an honest issuer signs with this key, whatever the header says. */
  signed(key: PrivateKey, header: Header = {}, hash = 'sha256'): string {
    const input = this.input(key, header)
    if (key.alg === 'HS256') return this.mac(Buffer.from(key.k as string, 'base64url'), input, hash)
    const options = { key: toPrivate(key), dsaEncoding: 'ieee-p1363' as const }
    return `${input}.${sign(key.alg === 'EdDSA' ? null : hash, Buffer.from(input), options).toString('base64url')}`
  }

  input(key: PrivateKey, header: Header = {}): string {
    const { alg, kid } = key
    return `${base64url({ alg, typ: 'at+jwt', kid, ...header })}.${base64url(this.claims)}`
  }

  mac(secret: string | Buffer, input: string, hash = 'sha256'): string {
    return `${input}.${createHmac(hash, secret).update(input).digest('base64url')}`
  }
}

/** A service that signs with `keys`, and a forger of tokens for a live session. */
async function startWith(t: Test, ...keys: PrivateKey[]): Promise<{ api: Api; forger: Forger }> {
  const { api } = await startService(t, 'sqlite', keyFileSettings(writeKeyFile(t, ...keys)))
  await api.signUp('ada', PASSWORD)
  const { access_token: token } = await api.tokens('ada', PASSWORD)
  const forger = new Forger(decodeJwt(token))
  for (const key of keys) t.equal(await api.isActive(forger.signed(key)), true, `${key.alg}: the forger can write`)
  return { api, forger }
}

/** Every route refuses a bad token with the same answer, and none logs an error. */
async function refuses(t: Test, api: Api, token: string, what: string): Promise<void> {
  const answers = [
    await api.introspect(token),
    await api.call('/verify', { bearer: token }),
    await api.call('/sessions', { bearer: token }),
    await api.refresh(token),
  ]
  t.strictSame(answers[0]?.body, { active: false }, what)
  t.strictSame(
    answers.map(({ status }) => status),
    [200, 401, 401, 400],
    what,
  )
}

/** Every text form of a public key that a library may take for an HMAC secret. */
function writingsOf(key: PrivateKey): [string, string | Buffer][] {
  const jwk = publicJwk(key)
  const { kty, crv, x, y, n, e } = jwk
  const bare = JSON.parse(JSON.stringify({ kty, crv, x, y, n, e })) as JsonWebKey
  const publicKey = createPublicKey({ key: bare, format: 'jwk' })
  const pem = publicKey.export({ type: 'spki', format: 'pem' }).toString()
  const more: [string, string | Buffer][] =
    kty === 'RSA'
      ? [
          ['PKCS #1 PEM', publicKey.export({ type: 'pkcs1', format: 'pem' })],
          ['PKCS #1 DER', publicKey.export({ type: 'pkcs1', format: 'der' })],
          ['the modulus', Buffer.from(n as string, 'base64url')],
        ]
      : [['x', Buffer.from(x as string, 'base64url')]]
  return [
    ['PEM', pem],
    ['PEM without its last newline', pem.trimEnd()],
    ['PEM with CRLF', pem.replaceAll('\n', '\r\n')],
    ['DER', publicKey.export({ type: 'spki', format: 'der' })],
    ['JWK text', JSON.stringify(jwk)],
    ['JWK text, bare', JSON.stringify(bare)],
    ['JWK text, indented', JSON.stringify(jwk, null, 2)],
    ['JWKS text', jwkSet(jwk)],
    ['the thumbprint', key.kid],
    ['nothing', ''],
    ...more,
  ]
}

for (const alg of ['ES256', 'RS256', 'EdDSA'] as const) {
  test(`J4: HS256 signed with the public ${alg} key is inactive`, async (t) => {
    const [key, secret] = [await makeKey(alg), await makeKey('HS256')]
    const { api, forger } = await startWith(t, key, secret)
    for (const [what, written] of writingsOf(key)) {
      for (const kid of [key.kid, secret.kid]) {
        const input = forger.input(key, { alg: 'HS256', kid })
        await refuses(
          t,
          api,
          forger.mac(written, input),
          `${what}, ${kid === key.kid ? 'its kid' : "the secret's kid"}`,
        )
      }
      await refuses(t, api, forger.mac(written, forger.input(key)), `${what}, alg ${alg}`)
    }
  })
}

test('J3, J5: each key is pinned to its one algorithm', async (t) => {
  const [hs, es, rs, ed] = [
    await makeKey('HS256'),
    await makeKey('ES256'),
    await makeKey('RS256'),
    await makeKey('EdDSA'),
  ]
  const keys = [hs, es, rs, ed]
  const { api, forger } = await startWith(t, ...keys)
  for (const key of keys) {
    for (const other of keys.filter((each) => each !== key)) {
      await refuses(t, api, forger.signed(key, { alg: other.alg }), `signed with ${key.alg}, said ${other.alg}`)
      await refuses(t, api, forger.signed(key, { kid: other.kid }), `signed with ${key.alg}, kid of ${other.alg}`)
      const both = { alg: other.alg, kid: other.kid }
      await refuses(t, api, forger.signed(key, both), `signed with ${key.alg}, all of ${other.alg}`)
    }
    for (const said of [key.alg.toLowerCase(), 'none', '', `${key.alg} `]) {
      await refuses(t, api, forger.signed(key, { alg: said }), `signed with ${key.alg}, said "${said}"`)
    }
    const noSignature = [forger.input(key, { alg: 'none' }), '', 'AAAA', Buffer.alloc(64).toString('base64url')]
    for (const signature of noSignature.slice(1)) {
      await refuses(t, api, `${forger.input(key)}.${signature}`, `${key.alg}: signature "${signature.slice(0, 8)}"`)
      await refuses(t, api, `${noSignature[0]}.${signature}`, `none: signature "${signature.slice(0, 8)}"`)
    }
  }
  for (const hash of ['sha384', 'sha512']) {
    const bits = hash.slice(3)
    await refuses(t, api, forger.signed(hs, { alg: `HS${bits}` }, hash), `HS${bits} with the HS256 key`)
    await refuses(t, api, forger.signed(rs, { alg: `RS${bits}` }, hash), `RS${bits} with the RS256 key`)
    await refuses(t, api, forger.signed(es, { alg: `ES${bits}` }, hash), `ES${bits} with the ES256 key`)
    await refuses(t, api, forger.signed(hs, {}, hash), `HS256 that is HS${bits}`)
    await refuses(t, api, forger.signed(rs, {}, hash), `RS256 that is RS${bits}`)
  }
  const der = sign('sha256', Buffer.from(forger.input(es)), toPrivate(es)).toString('base64url')
  await refuses(t, api, `${forger.input(es)}.${der}`, 'an ES256 signature in DER')
  for (const name of ['Ed25519', 'Ed448', 'PS256', 'ES256K', 'ESB256']) {
    for (const key of [rs, ed, es]) await refuses(t, api, forger.signed(key, { alg: name }), `${key.alg} as ${name}`)
  }
})

for (const alg of ['HS256', 'ES256', 'RS256', 'EdDSA'] as const) {
  test(`J6–J11: ${alg}: a header that names or contains another key is inactive, and the service fetches nothing`, async (t) => {
    const [key, theirs] = [await makeKey(alg), await makeKey(alg === 'HS256' ? 'ES256' : alg)]
    const { api, forger } = await startWith(t, key)
    const canary = await startCanary(t, jwkSet(publicJwk(theirs)))
    const jwk = publicJwk(theirs)
    const pem = createPublicKey(toPrivate(theirs)).export({ type: 'spki', format: 'der' }).toString('base64')

    const kids = [
      '../../../dev/null',
      "' OR 1=1 --",
      'a\0b',
      'x'.repeat(5000),
      '__proto__',
      'constructor',
      7,
      null,
      [key.kid],
    ]
    for (const kid of kids) {
      await refuses(t, api, forger.signed(key, { kid }), `J6: kid ${JSON.stringify(kid).slice(0, 20)}`)
      await refuses(t, api, forger.mac('', forger.input(key, { alg: 'HS256', kid })), `J6: and signed with nothing`)
    }
    await refuses(t, api, forger.signed(key, { kid: theirs.kid }), 'J7: kid unknown')
    await refuses(t, api, forger.signed(key, { kid: undefined }), 'J7: no kid')
    await refuses(t, api, forger.signed(key, { kid: canary.url }), 'J7: kid is an address')
    for (const header of [
      { jwk },
      { jku: canary.url },
      { x5u: canary.url },
      { x5c: [pem] },
      { x5t: theirs.kid },
      { crit: ['exp'] },
      { crit: ['b64'], b64: false },
      { b64: false },
      { b64: true },
      { crit: [] },
      { cty: 'JWT' },
    ] as Header[]) {
      const what = `J8–J11: ${JSON.stringify(header).slice(0, 30)}`
      await refuses(t, api, forger.signed(key, header), `${what}, signed with our key`)
      await refuses(t, api, forger.signed(theirs, header), `${what}, signed with theirs`)
      await refuses(t, api, forger.signed(theirs, { ...header, alg, kid: key.kid }), `${what}, under our kid`)
    }
    t.equal(canary.hits(), 0)
  })
}

test('J12: a key that was removed from the key ring is inactive', async (t) => {
  const all: Algorithm[] = ['HS256', 'ES256', 'RS256', 'EdDSA']
  const [current, retired] = [await makeKey('ES256'), await Promise.all(all.map(makeKey))]
  const { api, forger } = await startWith(t, current)
  for (const key of retired) {
    await refuses(t, api, forger.signed(key), `${key.alg}, under its kid`)
    await refuses(t, api, forger.signed(key, { kid: current.kid }), `${key.alg}, under the kid of now`)
  }
})

async function startCanary(t: Test, body: string): Promise<{ url: string; hits(): number }> {
  let hits = 0
  const server = createServer((_request, response) => {
    hits += 1
    response.setHeader('content-type', 'application/json').end(body)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/keys.json`, hits: () => hits }
}
