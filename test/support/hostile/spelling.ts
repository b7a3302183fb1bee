import { createCipheriv, createHash } from 'node:crypto'
import {
  base64url,
  collectTokens,
  type Forger,
  type HostileToken,
  otherSpellings,
  withMembersAfter,
  withMembersBefore,
} from './forger.js'

type Segments = [header: string, claims: string, signature: string]

/** J27–J31: one token in another spelling, cut, padded or wrapped. */
export function hostileSpellings(forger: Forger): HostileToken[] {
  const genuine = forger.token()
  return [
    ...duplicateMembers(forger),
    ...otherSignatures(forger, genuine.split('.') as Segments),
    ...otherBase64(forger, genuine),
    ...otherForms(forger, genuine),
  ]
}

/** J27. Of two equal members, two parsers may keep different ones. */
function duplicateMembers(forger: Forger): HostileToken[] {
  const list: HostileToken[] = []
  const as = collectTokens(list)
  const { header, claims } = forger
  const inHeader = as('J27', 'malformed')
  for (const member of [
    '"alg":"none"',
    '"alg":"HS256"',
    `"kid":"${header.kid}"`,
    '"kid":"x"',
    '"typ":"at+jwt"',
    '"typ":"JWT"',
    '"\\u0061lg":"HS256"',
  ]) {
    inHeader(`header: ${member} first`, forger.token({ header: withMembersBefore(header, member) }))
    inHeader(`header: ${member} last`, forger.token({ header: withMembersAfter(header, member) }))
  }
  inHeader(
    'header: alg written with an escape',
    forger.token({ header: JSON.stringify(header).replace('alg', '\\u0061lg') }),
  )
  inHeader(
    'header: HS256 written with an escape',
    forger.token({ header: JSON.stringify(header).replace('HS', '\\u0048S') }),
  )
  inHeader(
    'header: / escaped',
    forger.token({ header: JSON.stringify({ ...header, typ: 'application/at+jwt' }).replace('/', '\\/') }),
  )

  const inClaims = as('J27', 'bad_claims')
  const members = [
    '"sub":"root"',
    `"sub":"${claims.sub}"`,
    `"exp":${claims.exp + 60}`,
    `"exp":${claims.exp}`,
    '"exp":null',
    '"aud":"x"',
    `"iss":"${claims.iss}"`,
    '"\\u0073ub":"root"',
    '"roles":["admin"],"roles":[]',
  ]
  for (const member of members) {
    inClaims(`claims: ${member} first`, forger.token({ claims: withMembersBefore(claims, member) }))
    inClaims(`claims: ${member} last`, forger.token({ claims: withMembersAfter(claims, member) }))
  }
  inClaims(
    'claims: sub written with an escape',
    forger.token({ claims: JSON.stringify(claims).replace('sub', '\\u0073ub') }),
  )
  inClaims('claims: twice within another', forger.token({ claims: withMembersAfter(claims, '"note":{"a":1,"a":2}') }))
  return list
}

function otherSignatures(forger: Forger, [header, claims, signature]: Segments): HostileToken[] {
  const list: HostileToken[] = []
  const as = collectTokens(list)
  const bytes = Buffer.from(signature, 'base64url')
  const j28 = (what: string, other: Buffer) => {
    as('J28', 'bad_signature')(what, `${header}.${claims}.${other.toString('base64url')}`)
  }
  for (let length = 1; length < bytes.length; length++) j28(`cut to ${length} bytes`, bytes.subarray(0, length))
  for (let index = 0; index < bytes.length; index++) {
    const flipped = Buffer.from(bytes)
    flipped.writeUInt8(bytes.readUInt8(index) ^ (1 << (index % 8)), index)
    j28(`a bit of byte ${index} flipped`, flipped)
  }
  j28('zeroed', Buffer.alloc(32))
  j28('one zero byte', Buffer.alloc(1))
  j28('all ones', Buffer.alloc(32, 0xff))
  j28('a byte more', Buffer.concat([bytes, Buffer.alloc(1)]))
  j28('twice', Buffer.concat([bytes, bytes]))
  j28('backwards', Buffer.from(bytes).reverse())
  j28('halves swapped', Buffer.concat([bytes.subarray(16), bytes.subarray(0, 16)]))
  j28('as hex', Buffer.from(bytes.toString('hex')))
  j28('base64url of base64url', Buffer.from(signature))
  j28('a plain hash', createHash('sha256').update(`${header}.${claims}`).digest())
  j28('a hash with the key before', createHash('sha256').update(forger.secret).update(`${header}.${claims}`).digest())
  j28('of the header alone', signatureOf(forger.signed(header)))
  j28('of the claims alone', signatureOf(forger.signed(claims)))
  j28('of the JSON', signatureOf(forger.signed(JSON.stringify(forger.header) + JSON.stringify(forger.claims))))
  j28('of another token', signatureOf(forger.withClaims({ jti: 'another' })))
  as('J28', 'malformed')('empty', `${header}.${claims}.`)
  as('J28', 'malformed')('two characters cut', `${header}.${claims}.${signature.slice(0, -2)}`)
  const [otherHeader, otherClaims] = forger.withClaims({ sub: 'root' }).split('.')
  as('J28', 'bad_signature')('of claims for another', `${otherHeader}.${otherClaims}.${signature}`)
  as('J28', 'unsupported_header')('header and claims swapped', `${claims}.${header}.${signature}`)
  return list
}

/** J29. The signature covers the text, so these texts are signed as they are. */
function otherBase64(forger: Forger, genuine: string): HostileToken[] {
  const list: HostileToken[] = []
  const as = collectTokens(list)
  const j29 = as('J29', 'malformed')
  const [header, claims, signature] = genuine.split('.') as Segments
  const resigned = (h: string, c: string) => forger.signed(`${h}.${c}`)
  j29('= behind the header', resigned(`${header}=`, claims))
  j29('= behind the claims', resigned(header, `${claims}=`))
  j29('= behind the signature', `${genuine}=`)
  j29('== behind the signature', `${genuine}==`)
  j29('= within the signature', `${header}.${claims}.${signature.slice(0, 9)}=${signature.slice(10)}`)
  const odd = forger.token({ claims: { ...forger.claims, jti: 'a~~?~>~~~?>' } }).split('.') as Segments
  j29('+ and / in the claims', resigned(header, toBase64(odd[1])))
  const written = tokenWhoseSignature(forger, /[-_]/)
  j29('+ and / in the signature', written.replace(/[^.]*$/, toBase64))

  for (const [what, space] of Object.entries({
    space: ' ',
    tab: '\t',
    'new line': '\n',
    CRLF: '\r\n',
    'form feed': '\f',
    NUL: '\0',
    'no-break space': '\u00a0',
    'zero-width space': '\u200b',
    'byte order mark': '\ufeff',
    'line separator': '\u2028',
    'combining mark': '\u0301',
  })) {
    j29(`${what} before`, space + genuine)
    j29(`${what} behind`, genuine + space)
    j29(`${what} within the header`, resigned(header.slice(0, 8) + space + header.slice(8), claims))
    j29(`${what} within the claims`, resigned(header, claims.slice(0, 8) + space + claims.slice(8)))
    j29(`${what} within the signature`, `${header}.${claims}.${signature.slice(0, 8)}${space}${signature.slice(8)}`)
    j29(`${what} beside a dot`, `${header}.${space}${claims}.${signature}`)
  }
  for (const space of [' ', '\n', '\t']) {
    const [spacedHeader, spacedClaims] = [forger.header, forger.claims].map((part) => JSON.stringify(part, null, space))
    j29(`header set with ${JSON.stringify(space)}`, forger.token({ header: spacedHeader as string }))
    as('J29', 'bad_claims')(
      `claims set with ${JSON.stringify(space)}`,
      forger.token({ claims: spacedClaims as string }),
    )
  }

  for (const other of otherSpellings(signature))
    j29(`spare bits of the signature: ${other.at(-1)}`, `${header}.${claims}.${other}`)
  for (const other of otherSpellings(header)) j29(`spare bits of the header: ${other.at(-1)}`, resigned(other, claims))
  const short = tokenWithSpareBits(forger).split('.') as Segments
  for (const other of otherSpellings(short[1]))
    as('J29', 'bad_claims')(`spare bits of the claims: ${other.at(-1)}`, resigned(header, other))
  for (const [what, segment] of [
    ['header', 0],
    ['signature', 2],
  ] as const) {
    // A single last character carries six bits, which are not a whole byte.
    const segments = genuine.split('.')
    segments[segment] = `${(segments[segment] as string).padEnd(44, 'A')}A`
    while ((segments[segment] as string).length % 4 !== 1) segments[segment] += 'A'
    j29(`a character too many in the ${what}`, segments.join('.'))
  }
  j29('percent-encoded', genuine.replaceAll('.', '%2E'))
  j29('full-width stops', genuine.replaceAll('.', '\uff0e'))
  j29('a full-width letter', genuine.replace('e', '\uff45'))
  j29('a letter that only looks the same', genuine.replace('e', '\u0435'))
  j29('a quoted string', `"${genuine}"`)
  return list
}

function otherForms(forger: Forger, genuine: string): HostileToken[] {
  const list: HostileToken[] = []
  const as = collectTokens(list)
  const [header, payload, signature] = genuine.split('.') as Segments
  const j30 = as('J30', 'malformed')
  const forms = [
    header,
    payload,
    signature,
    `${header}.${payload}`,
    `${payload}.${signature}`,
    `${genuine}.${signature}`,
    `${genuine}.${payload}.${signature}`,
    `${header}.${genuine}`,
    `${genuine}.`,
    `${genuine}..`,
    `.${genuine}`,
    `..${genuine}`,
    `${header}..${payload}.${signature}`,
    `${header}.${payload}..${signature}`,
    `${header}..${signature}`,
    `.${payload}.${signature}`,
    `${header}..`,
    `.${payload}.`,
    `..${signature}`,
    '.',
    '..',
    '...',
    '....',
    'a',
    'a.b',
    'a.b.c',
    'a.b.c.d',
    `${genuine}.${genuine}`,
    genuine + genuine,
    'null',
    'undefined',
    '0',
    '{}',
    '[]',
  ]
  forms.forEach((form, index) => {
    j30(
      `form ${index}: ${form.replaceAll(header, 'HEADER').replaceAll(payload, 'CLAIMS').replaceAll(signature, 'SIGNATURE')}`,
      form,
    )
  })

  const j31 = as('J31', 'malformed')
  const flattened = { payload, protected: header, signature }
  j31('flattened JSON', JSON.stringify(flattened))
  j31('general JSON', JSON.stringify({ payload, signatures: [{ protected: header, signature }] }))
  j31(
    'general JSON with an unprotected header',
    JSON.stringify({ payload, signatures: [{ header: forger.header, signature }] }),
  )
  j31('flattened JSON, in base64url', base64url(flattened))
  j31('JSON Web Encryption', encrypted(forger, genuine))
  j31('JSON Web Encryption of no token', encrypted(forger, JSON.stringify(forger.claims)))
  const dir = base64url({ alg: 'dir', enc: 'A256GCM', typ: 'at+jwt', kid: forger.header.kid })
  as('J31', 'unsupported_header')('its header on a signed token', forger.signed(`${dir}.${payload}`))
  as('J31', 'unsupported_header')('nested, cty JWT', forger.withHeader({ cty: 'JWT' }, { claims: genuine }))
  as('J31', 'bad_claims')('nested', forger.token({ claims: genuine }))
  as('J31', 'bad_claims')('nested, quoted', forger.token({ claims: JSON.stringify(genuine) }))
  as('J31', 'wrong_issuer')('nested in a claim', forger.token({ claims: { jwt: genuine } }))
  j31('nested as its own segment', forger.signed(`${header}.${genuine}`))
  return list
}

function encrypted({ header, secret }: Forger, text: string): string {
  const [protectedHeader, iv] = [
    base64url({ alg: 'dir', enc: 'A256GCM', cty: 'JWT', kid: header.kid }),
    Buffer.alloc(12, 7),
  ]
  const cipher = createCipheriv('aes-256-gcm', Buffer.from(secret).subarray(0, 32), iv).setAAD(
    Buffer.from(protectedHeader),
  )
  const sealed = Buffer.concat([cipher.update(text), cipher.final()])
  return [
    protectedHeader,
    '',
    iv.toString('base64url'),
    sealed.toString('base64url'),
    cipher.getAuthTag().toString('base64url'),
  ].join('.')
}

const signatureOf = (token: string) => Buffer.from(token.split('.').at(-1) as string, 'base64url')

const toBase64 = (segment: string) => segment.replaceAll('-', '+').replaceAll('_', '/')

/** A genuine token whose signature contains such a character. */
function tokenWhoseSignature(forger: Forger, has: RegExp): string {
  for (let n = 0; ; n++) {
    const token = forger.withClaims({ jti: `n${n}` })
    if (has.test(token.split('.').at(-1) as string)) return token
  }
}

/** A genuine token whose claims leave spare bits in the last character. */
function tokenWithSpareBits(forger: Forger): string {
  for (let jti = 'a'; ; jti += 'a') {
    const token = forger.withClaims({ jti })
    if (otherSpellings((token.split('.') as Segments)[1]).length > 0) return token
  }
}
