import {
  base64url,
  collectTokens,
  type Forger,
  type HostileToken,
  withMembersAfter,
  withMembersBefore,
  withoutMember,
  withRawMember,
} from './forger.js'

/**
 * J32–J35: tokens that are too long or too deep, claims that are not an object or not text, and traps for copies of
 * claims.
 */
export function hostilePayloads(forger: Forger): HostileToken[] {
  return [...oversized(forger), ...otherPayloads(forger), ...prototypeTraps(forger)]
}

function oversized(forger: Forger): HostileToken[] {
  const list: HostileToken[] = []
  const as = collectTokens(list)
  const j32 = as('J32', 'malformed')
  j32('genuine but for one character over 8192', tokenOfLength(forger, 8193))
  j32('genuine but for 15,001 characters', tokenOfLength(forger, 15_001))
  j32('nothing but dots', '.'.repeat(9000))
  j32('one segment', 'a'.repeat(9000))
  j32('a kid of 9 KB', forger.withHeader({ kid: 'k'.repeat(9000) }))

  const nested = (levels: number, open: string, close: string) => open.repeat(levels) + close.repeat(levels)
  const deepest = 5400
  const j33 = as('J33', 'bad_claims')
  for (const levels of [9, 100, 1000, 2400]) {
    j33(
      `a claim of ${levels} lists`,
      forger.token({ claims: withMembersAfter(forger.claims, `"note":${nested(levels, '[', ']')}`) }),
    )
  }
  j33(
    'a claim of 800 objects',
    forger.token({ claims: withMembersAfter(forger.claims, `"note":${'{"a":'.repeat(800)}1${'}'.repeat(800)}`) }),
  )
  j33('claims of nothing but lists', forger.token({ claims: nested(deepest / 2, '[', ']') }))
  j33('claims of lists that never end', forger.token({ claims: '['.repeat(deepest) }))
  j33('claims of objects that never end', forger.token({ claims: '{"a":'.repeat(deepest / 5) }))
  as('J33', 'malformed')('a header of lists', forger.token({ header: nested(2500, '[', ']') }))
  as('J33', 'malformed')('a header of lists that never end', forger.token({ header: '['.repeat(5000) }))
  as('J33', 'unsupported_header')(
    'a header member of lists',
    forger.token({ header: withMembersAfter(forger.header, `"x":${nested(2300, '[', ']')}`) }),
  )
  as('J33', 'unsupported_header')(
    'crit of lists',
    forger.token({ header: withMembersAfter(forger.header, `"crit":${nested(2300, '[', ']')}`) }),
  )
  as('J33', 'unsupported_header')(
    'alg of lists',
    forger.token({ header: JSON.stringify(forger.header).replace('"HS256"', nested(2300, '[', ']')) }),
  )
  as('J33', 'unknown_key')(
    'kid of lists',
    forger.token({ header: `{"alg":"HS256","typ":"at+jwt","kid":${nested(2300, '[', ']')}}` }),
  )
  return list
}

/** J34: claims that are not a JSON object, or not text. */
function otherPayloads(forger: Forger): HostileToken[] {
  const list: HostileToken[] = []
  const as = collectTokens(list)
  const { claims } = forger
  const json = JSON.stringify(claims)
  const j34 = as('J34', 'bad_claims')
  for (const text of [
    '[]',
    `[${json}]`,
    '"text"',
    JSON.stringify(json),
    '1',
    '0',
    'null',
    'true',
    'false',
    '{',
    '{}}',
    `${json}${json}`,
    `${json},`,
    `'${json}'`,
    'undefined',
    ' ',
    '//',
    `/**/${json}`,
    `${json}\0`,
  ]) {
    j34(
      `the claims are ${text.length > 40 ? `${text.slice(0, 30)}…${text.slice(-5)}` : JSON.stringify(text)}`,
      forger.token({ claims: text }),
    )
  }
  as('J34', 'wrong_issuer')('the claims are {}', forger.token({ claims: {} }))
  as('J34', 'malformed')('no claims', forger.token({ claims: '' }))
  j34('a byte order mark before', forger.token({ claims: `\ufeff${json}` }))
  j34('UTF-16', forger.token({ claims: Buffer.from(json, 'utf16le') }))
  j34('UTF-16 with a byte order mark', forger.token({ claims: Buffer.from(`\ufeff${json}`, 'utf16le') }))
  // A genuine token with invalid UTF-8. One decoder replaces the bytes by U+FFFD, another one by a quotation mark.
  for (const [what, bytes] of [
    ['a byte FF', [0xff]],
    ['a byte that continues nothing', [0x80]],
    ['a character cut short', [0xe2, 0x82]],
    ['a quotation mark, overlong', [0xc0, 0xa2]],
    ['a lone surrogate', [0xed, 0xa0, 0x80]],
    ['a surrogate pair in CESU-8', [0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80]],
    ['a code point past the last', [0xf4, 0x90, 0x80, 0x80]],
  ] as const) {
    const [before, after] = JSON.stringify({ ...claims, note: 'HERE' }).split('HERE') as [string, string]
    j34(what, forger.token({ claims: Buffer.concat([Buffer.from(before), Buffer.from(bytes), Buffer.from(after)]) }))
  }
  j34('a lone surrogate, escaped', forger.withClaims({ note: '\ud800' }))
  j34(
    'a lone surrogate, escaped in capitals',
    forger.token({ claims: withRawMember({ ...claims, note: '' }, 'note', '"\\uD800"') }),
  )
  j34('a lone surrogate in a name', forger.withClaims({ '\udc00': 1 }))
  as('J34', 'malformed')('a header that is a list', forger.token({ header: [forger.header] }))
  for (const text of ['null', '1', '"at+jwt"', '{', '']) {
    as('J34', 'malformed')(`the header is ${text || 'empty'}`, forger.token({ header: text }))
  }
  as('J34', 'malformed')(
    'a byte order mark before the header',
    forger.token({ header: `\ufeff${JSON.stringify(forger.header)}` }),
  )
  as('J34', 'malformed')(
    'a byte FF in the header',
    forger.signed(
      `${base64url(Buffer.from([...Buffer.from(JSON.stringify(forger.header)), 0xff]))}.${base64url(claims)}`,
    ),
  )
  return list
}

/** J35: members that reach a prototype when a program copies them. */
function prototypeTraps(forger: Forger): HostileToken[] {
  const list: HostileToken[] = []
  const as = collectTokens(list)
  const { claims, header } = forger
  const j35 = as('J35', 'bad_claims')
  for (const name of ['__proto__', 'constructor']) {
    const values = [{ sub: 'root' }, { prototype: { sub: 'root' } }, null, 'x', 1, []]
    for (const value of values) {
      const member = `"${name}":${JSON.stringify(value)}`
      j35(`a claim ${member}`, forger.token({ claims: withMembersAfter(claims, member) }))
      as('J35', 'unsupported_header')(
        `a header member ${member}`,
        forger.token({ header: withMembersAfter(header, member) }),
      )
    }
    const member = `"${name}":{"active":true}`
    j35(`a claim ${member}, first`, forger.token({ claims: withMembersBefore(claims, member) }))
    j35(`a claim ${member}, inside another`, forger.token({ claims: withMembersAfter(claims, `"note":{${member}}`) }))
    j35(
      `a claim ${member}, inside a list`,
      forger.token({ claims: withMembersAfter(claims, `"note":[[{${member}}]]`) }),
    )
    j35(
      `${name} written with an escape`,
      forger.token({
        claims: withMembersAfter(claims, `"\\u00${name.charCodeAt(0).toString(16)}${name.slice(1)}":{}`),
      }),
    )
    for (const missing of ['sub', 'exp', 'iss'] as const) {
      const inherited = withMembersAfter(
        withoutMember(claims, missing),
        `"${name}":{"${missing}":${JSON.stringify(claims[missing])}}`,
      )
      j35(`${missing} by way of ${name}`, forger.token({ claims: inherited }))
    }
  }
  return list
}

/** A genuine token with a claim that fills it to this length. Base64url can have three of four successive lengths. */
export function tokenOfLength(forger: Forger, length: number): string {
  const least = Math.floor(((length - forger.withClaims({ fill: '' }).length) * 3) / 4)
  for (let fill = least - 3; fill <= least + 3; fill++) {
    const token = forger.withClaims({ fill: 'x'.repeat(fill) })
    if (token.length === length) return token
  }
  throw new Error(`no token has ${length} characters`)
}
