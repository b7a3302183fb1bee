import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import {
  base64url,
  collectTokens,
  type Forger,
  type HostileToken,
  kidOf,
  withoutMember,
  withRawMember,
} from './forger.js'

const values: [string, unknown][] = [
  ['null', null],
  ['a number', 256],
  ['an empty object', {}],
  ['true', true],
]

/** J1–J12: hostile headers. */
export function hostileHeaders(forger: Forger): HostileToken[] {
  const list: HostileToken[] = []
  const as = collectTokens(list)
  const { header, secret } = forger
  const withoutKid = withoutMember(header, 'kid')

  const j1 = as('J1', 'unsupported_header')
  for (const alg of ['none', 'None', 'NONE', 'nOnE', 'none ', '']) {
    j1(`alg "${alg}", with a valid signature`, forger.withHeader({ alg }))
    j1(`alg "${alg}", with a signature of nothing`, forger.withHeader({ alg }, { secret: '' }))
    as('J1', 'unknown_key')(`alg "${alg}", no kid`, forger.token({ header: { ...withoutKid, alg } }))
    as('J1', 'malformed')(`alg "${alg}", no signature`, forger.withHeader({ alg }).replace(/[^.]*$/, ''))
  }

  const j2 = as('J2', 'unsupported_header')
  j2('no alg', forger.token({ header: withoutMember(header, 'alg') }))
  for (const [what, alg] of [...values, ['a list', ['HS256']], ['a list of two', ['HS256', 'none']]] as const) {
    j2(`alg is ${what}`, forger.withHeader({ alg }))
  }

  const j3 = as('J3', 'unsupported_header')
  for (const bits of ['384', '512'] as const) {
    j3(`HS${bits} with the HS256 key`, forger.withHeader({ alg: `HS${bits}` }, { hash: `sha${bits}` }))
    j3(`HS${bits}, signed as HS256`, forger.withHeader({ alg: `HS${bits}` }))
    as('J3', 'bad_signature')(`HS256, signed as HS${bits}`, forger.token({ hash: `sha${bits}` }))
  }
  for (const alg of ['RS256', 'ES256', 'PS256', 'EdDSA', 'A256GCM', 'dir']) j3(alg, forger.withHeader({ alg }))

  for (const [name, publicKey] of Object.entries(publicKeys)) {
    list.push(...signedWithPublicKey(forger, name, publicKey, header.kid, 'bad_signature'))
  }

  const j5 = as('J5', 'unsupported_header')
  for (const alg of [
    'hs256',
    'Hs256',
    'hS256',
    ' HS256',
    'HS256 ',
    'HS-256',
    'SHA256',
    'sha256',
    'HMAC',
    'HS256\u0130',
  ]) {
    j5(`alg "${alg}"`, forger.withHeader({ alg }))
  }

  const j6 = as('J6', 'unknown_key')
  for (const { path, content } of files) {
    j6(`kid names the file ${path}, whose content signs`, forger.withHeader({ kid: path }, { secret: content }))
  }
  const union = "x' UNION SELECT 'known to the attacker' --"
  j6('kid is SQL that answers with a key', forger.withHeader({ kid: union }, { secret: 'known to the attacker' }))
  for (const kid of ["' OR '1'='1", "'; DROP TABLE users; --", '$(id)', '`id`', '%00', '{"$gt":""}', '*', '', ' ']) {
    j6(`kid "${kid}"`, forger.withHeader({ kid }))
  }
  for (const kid of ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'size', '0']) {
    j6(`kid "${kid}"`, forger.withHeader({ kid }))
    j6(`kid "${kid}", signed with undefined`, forger.withHeader({ kid }, { secret: 'undefined' }))
  }
  for (const [what, kid] of [...values, ['a list of the right one', [header.kid]]] as const) {
    j6(`kid is ${what}`, forger.withHeader({ kid }))
  }
  j6('kid of 5 KB', forger.withHeader({ kid: 'k'.repeat(5000) }))
  as('J6', 'malformed')('kid of 8 KB', forger.withHeader({ kid: 'k'.repeat(8192) }))
  as('J6', 'malformed')('kid with NUL behind the right one', forger.withHeader({ kid: `${header.kid}\u0000` }))
  as('J6', 'malformed')('kid with a new line', forger.withHeader({ kid: `${header.kid}\n` }))

  const j7 = as('J7', 'unknown_key')
  j7('no kid', forger.token({ header: withoutKid }))
  j7('kid of nobody', forger.withHeader({ kid: randomBytes(32).toString('base64url') }))
  j7('kid in other case', forger.withHeader({ kid: header.kid.toLowerCase() }))
  j7('kid cut short', forger.withHeader({ kid: header.kid.slice(0, -1) }))
  j7('kid is an address', forger.withHeader({ kid: forger.canary }))

  const attacker = 'a secret of the attacker, long enough to be one'
  const jwk = { kty: 'oct', k: base64url(attacker), alg: 'HS256', kid: 'attacker' }
  list.push(...keysFromTheSender(forger, attacker, jwk))

  const j11 = as('J11', 'unsupported_header')
  const crits: unknown[] = [['exp'], ['b64'], ['https://example.com/x'], ['alg'], ['crit'], [], null, 'b64', {}, [1]]
  for (const crit of crits) j11(`crit ${JSON.stringify(crit)}`, forger.withHeader({ crit }))
  j11('b64 false, claims encoded', forger.withHeader({ b64: false }))
  j11('b64 true', forger.withHeader({ b64: true }))
  j11('b64 false and critical', forger.withHeader({ b64: false, crit: ['b64'] }))
  const unencoded = base64url({ ...header, b64: false, crit: ['b64'] })
  const claims = JSON.stringify(forger.claims)
  const signature = forger.signed(`${unencoded}.${claims}`).split('.').at(-1)
  j11('b64 false, signed unencoded', `${unencoded}.${base64url(claims)}.${signature}`)
  as('J11', 'malformed')('b64 false, claims unencoded', `${unencoded}.${claims}.${signature}`)
  as('J11', 'malformed')('b64 false, claims detached', `${unencoded}..${signature}`)
  for (const name of ['zip', 'enc', 'epk', 'cty', 'p2c', 'url', 'nonce', 'iss', 'https://example.com/x']) {
    j11(`a member ${name}`, forger.withHeader({ [name]: 'DEF' }))
  }

  const j12 = as('J12', 'bad_signature')
  for (const weak of [
    '',
    'secret',
    'null',
    '0',
    '\0'.repeat(32),
    ...[31, 33].map((length) => secret.slice(0, length)),
  ]) {
    j12(`signed with ${JSON.stringify(weak)}`, forger.token({ secret: weak }))
    as('J12', 'unknown_key')(
      `signed with ${JSON.stringify(weak)}, its own kid`,
      forger.withHeader({ kid: kidOf(weak) }, { secret: weak }),
    )
  }
  const retired = 'the secret of last year, which has been rotated out'
  j12('signed with a retired key, kid of the present one', forger.token({ secret: retired }))
  const kid = kidOf(retired)
  as('J12', 'unknown_key')('signed with a retired key', forger.withHeader({ kid }, { secret: retired }))
  return list
}

/** J4: the public key used as a shared secret. `kid` names the key pair, or any present key. */
export function signedWithPublicKey(
  forger: Forger,
  name: string,
  publicKey: KeyObject,
  kid: string,
  code: HostileToken['code'],
): HostileToken[] {
  const pem = publicKey.export({ type: 'spki', format: 'pem' }) as string
  const der = publicKey.export({ type: 'spki', format: 'der' })
  const jwk = publicKey.export({ format: 'jwk' })
  const secrets: Record<string, string | Buffer> = {
    PEM: pem,
    'PEM without its last line end': pem.trimEnd(),
    'PEM with CRLF': pem.replaceAll('\n', '\r\n'),
    'PEM in one line': pem.replaceAll('\n', ''),
    'the base64 of the PEM': pem.replace(/-----.*-----|\n/g, ''),
    DER: der,
    'DER as hex': der.toString('hex'),
    'JWK text': JSON.stringify(jwk),
    'JWKS text': JSON.stringify({ keys: [jwk] }),
    'the JWK x or n': Buffer.from((jwk.x ?? jwk.n) as string, 'base64url'),
  }
  return Object.entries(secrets).flatMap(([form, secret]) => [
    { id: 'J4', what: `${name} as ${form}`, token: forger.withHeader({ kid }, { secret }), code },
    ...(typeof secret === 'string'
      ? [
          {
            id: 'J4',
            what: `${name} as ${form}, its own kid`,
            token: forger.withHeader({ kid: kidOf(secret) }, { secret }),
            code: 'unknown_key' as const,
          },
        ]
      : []),
  ])
}

/** J8–J10: the header contains a key, or an address of one. */
function keysFromTheSender(forger: Forger, attacker: string, jwk: { kid: string }): HostileToken[] {
  const list: HostileToken[] = []
  const as = collectTokens(list)
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const signedES256 = (header: object) => {
    const input = `${base64url({ ...forger.header, alg: 'ES256', ...header })}.${base64url(forger.claims)}`
    const signature = sign('sha256', Buffer.from(input), { key: privateKey, dsaEncoding: 'ieee-p1363' })
    return `${input}.${signature.toString('base64url')}`
  }
  const both = (id: string, what: string, members: object, secret: string) => {
    const put = as(id, 'unsupported_header')
    put(`${what}, kid of ours`, forger.withHeader(members, { secret }))
    put(`${what}, kid of its own`, forger.withHeader({ ...members, kid: jwk.kid }, { secret }))
    put(`${what}, no kid`, forger.token({ header: { ...withoutMember(forger.header, 'kid'), ...members }, secret }))
    put(`${what}, signed with the real secret`, forger.withHeader(members))
  }

  both('J8', 'jwk that signs', { jwk }, attacker)
  both('J8', 'jwk of an empty key', { jwk: { ...jwk, k: '' } }, '')
  as('J8', 'unsupported_header')('jwk that signs ES256', signedES256({ jwk: publicKey.export({ format: 'jwk' }) }))
  as('J8', 'unsupported_header')('jwk null', forger.withHeader({ jwk: null }))

  for (const name of ['jku', 'x5u']) {
    both('J9', `${name} to the canary`, { [name]: `${forger.canary}/jwks.json` }, attacker)
    both(
      'J9',
      `${name} to the canary, as user information`,
      { [name]: forger.canary.replace('//', '//auth@') },
      attacker,
    )
    as('J9', 'unsupported_header')(`${name} and ES256`, signedES256({ [name]: `${forger.canary}/jwks.json` }))
    as('J9', 'unsupported_header')(`${name} is a file`, forger.withHeader({ [name]: 'file:///dev/null' }))
  }

  const certificate = publicKey.export({ type: 'spki', format: 'der' }).toString('base64')
  both('J10', 'x5c', { x5c: [certificate] }, attacker)
  both('J10', 'x5c of an empty list', { x5c: [] }, attacker)
  as('J10', 'unsupported_header')('x5c and ES256', signedES256({ x5c: [certificate] }))
  for (const [name, hash] of [
    ['x5t', 'sha1'],
    ['x5t#S256', 'sha256'],
  ] as const) {
    const thumbprint = createHash(hash).update(certificate).digest('base64url')
    as('J10', 'unsupported_header')(name, forger.withHeader({ [name]: thumbprint }))
  }
  const escaped = withRawMember(
    { ...forger.header, jwk },
    'kid',
    `"${forger.header.kid}","\\u006aku":"${forger.canary}"`,
  )
  as('J9', 'malformed')('jku written with an escape', forger.token({ header: escaped }))
  return list
}

const publicKeys = {
  'EC P-256': generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey,
  // The size plays no part here, and a larger key takes 0.2 s in each process.
  'RSA 1024': generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey,
  Ed25519: generateKeyPairSync('ed25519').publicKey,
}

// Real files whose content the attacker knows. A verifier that read them would accept the token.
const ownPackage = fileURLToPath(new URL('../../../../package.json', import.meta.url))
const files = [
  { path: '/dev/null', content: '' },
  { path: '../../../../../../../../dev/null', content: '' },
  { path: 'file:///dev/null', content: '' },
  { path: ownPackage, content: readFileSync(ownPackage) },
  { path: 'package.json', content: readFileSync(ownPackage) },
]
