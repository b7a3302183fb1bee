import { collectTokens, type Forger, type HostileToken, withoutMember, withRawMember } from './forger.js'

const notStrings: [string, unknown][] = [
  ['null', null],
  ['a number', 1],
  ['true', true],
  ['an object', {}],
  ['a list', ['x']],
  ['an empty list', []],
]

/** J13–J23: hostile claims. */
export function hostileClaims(forger: Forger): HostileToken[] {
  const list: HostileToken[] = []
  const as = collectTokens(list)
  const { claims, header } = forger
  const now = Math.floor(Date.now() / 1000)
  const raw = (name: string, text: string) => forger.token({ claims: withRawMember(claims, name, text) })

  const j13 = as('J13', 'bad_claims')
  j13('no exp', forger.token({ claims: withoutMember(claims, 'exp') }))
  j13('no iat', forger.token({ claims: withoutMember(claims, 'iat') }))
  j13('neither', forger.token({ claims: withoutMember(withoutMember(claims, 'iat'), 'exp') }))
  j13(
    'expires and Exp for exp',
    forger.token({ claims: { ...withoutMember(claims, 'exp'), expires: claims.exp, Exp: claims.exp } }),
  )

  const j14 = as('J14', 'bad_claims')
  for (const name of ['exp', 'iat', 'nbf'] as const) {
    const time = name === 'nbf' ? claims.iat : claims[name]
    for (const [what, value] of [
      ...notStrings.filter(([what]) => what !== 'a number'),
      ['a list of it', [time]],
    ] as const) {
      j14(`${name} is ${what}`, forger.withClaims({ [name]: value }))
    }
    for (const text of [
      String(time),
      `${time}.0`,
      'Infinity',
      'NaN',
      'never',
      '',
      ' ',
      new Date(time * 1000).toISOString(),
    ]) {
      j14(`${name} is the string "${text}"`, forger.withClaims({ [name]: text }))
    }
    for (const text of [
      'NaN',
      'Infinity',
      '-Infinity',
      'undefined',
      '0x7fffffff',
      '1e400',
      '-1e400',
      `0${time}`,
      `+${time}`,
    ]) {
      j14(`${name} is ${text}, written plainly`, raw(name, text))
    }
  }

  const j15 = as('J15', 'bad_claims')
  for (const name of ['exp', 'iat', 'nbf'] as const) {
    const time = name === 'nbf' ? claims.iat : claims[name]
    for (const text of [`${time}.5`, `${time}.0`, `${time}e0`, `${time}E-0`, `${time / 10}e1`, `${time}.00000000001`]) {
      j15(`${name} is ${text}`, raw(name, text))
    }
  }

  const j16 = as('J16', 'bad_claims')
  for (const name of ['exp', 'iat', 'nbf']) {
    for (const text of ['0', '-0', '-1', String(-claims.exp), '-1e300']) j16(`${name} is ${text}`, raw(name, text))
  }

  const j17 = as('J17', 'bad_claims')
  for (const text of ['9007199254740993', '9007199254740992', '9007199254740991', '1e18', '1e21', '1e308']) {
    j17(`exp is ${text}`, raw('exp', text))
  }
  j17('exp in milliseconds', forger.withClaims({ exp: claims.exp * 1000 }))
  j17('exp one second past the longest life', forger.withClaims({ exp: claims.iat + 86_401 }))
  j17(
    'iat is 2^53+1 and exp too',
    forger.token({
      claims: withRawMember(claims, 'iat', '9007199254740993').replace(`:${claims.exp}`, ':9007199254740993'),
    }),
  )

  const j18 = as('J18', 'expired')
  j18('exp exactly now', forger.withClaims({ iat: now - 60, exp: now }))
  j18('exp a second ago', forger.withClaims({ iat: now - 60, exp: now - 1 }))
  j18('exp in 1970', forger.withClaims({ iat: 1, exp: 2 }))
  j18('exp before iat', forger.withClaims({ iat: now, exp: now - 60 }))

  const j19 = as('J19', 'not_yet_valid')
  j19('nbf in a minute', forger.withClaims({ nbf: now + 60 }))
  j19('nbf past exp', forger.withClaims({ nbf: claims.exp + 60 }))
  j19('nbf in milliseconds', forger.withClaims({ nbf: now * 1000 }))

  const j20 = as('J20', 'not_yet_valid')
  j20('iat in a minute', forger.withClaims({ iat: now + 60, exp: now + 120 }))
  j20('iat past exp', forger.withClaims({ iat: claims.exp + 60 }))
  j20('iat in milliseconds', forger.withClaims({ iat: now * 1000, exp: now * 1000 + 60 }))

  for (const [name, code] of [
    ['iss', 'wrong_issuer'],
    ['aud', 'wrong_audience'],
  ] as const) {
    const j21 = as('J21', code)
    const right = claims[name]
    j21(`no ${name}`, forger.token({ claims: withoutMember(claims, name) }))
    for (const [what, value] of notStrings) j21(`${name} is ${what}`, forger.withClaims({ [name]: value }))
    const wrong = [
      '',
      'https://evil.test',
      `${right}/`,
      `${right}.evil.test`,
      right.slice(0, -1),
      right.toUpperCase(),
      ` ${right}`,
      `${right} `,
      `${right}#`,
      `${right},https://evil.test`,
      '*',
      'http://',
      'null',
      'undefined',
    ]
    for (const value of wrong) j21(`${name} is "${value}"`, forger.withClaims({ [name]: value }))
    for (const value of [
      [right],
      [right, 'https://evil.test'],
      ['https://evil.test', right],
      [[right]],
      { 0: right },
    ]) {
      j21(`${name} is ${JSON.stringify(value)}`, forger.withClaims({ [name]: value }))
    }
  }

  const j22 = as('J22', 'bad_claims')
  for (const name of ['sub', 'jti', 'sid', 'client_id', 'scope'] as const) {
    j22(`no ${name}`, forger.token({ claims: withoutMember(claims, name) }))
    const right = claims[name]
    for (const [what, value] of [...notStrings, ['a list of it', [right]]] as const) {
      j22(`${name} is ${what}`, forger.withClaims({ [name]: value }))
    }
    // Values that may break a database, a Redis key, a header or a log.
    for (const suffix of ['\0', '\n', '\r\nx-auth-sub: root', '\u001b[31m', '\ud800', '\u202e', 'é', '\u2028']) {
      j22(`${name} followed by ${JSON.stringify(suffix)}`, forger.withClaims({ [name]: right + suffix }))
    }
    if (name !== 'scope')
      for (const value of ['', ' ', `${right} `]) j22(`${name} is "${value}"`, forger.withClaims({ [name]: value }))
  }
  for (const scope of [' ', 'todo:read ', ' todo:read', 'a  b', 'a\tb', 'a"b', 'a\\b']) {
    j22(`scope is ${JSON.stringify(scope)}`, forger.withClaims({ scope }))
  }
  for (const roles of [
    'admin',
    { 0: 'admin' },
    ['admin', 1],
    [['admin']],
    null,
    1,
    true,
    [''],
    ['a b'],
    ['a\nb'],
    ['管理'],
  ]) {
    j22(`roles is ${JSON.stringify(roles)}`, forger.withClaims({ roles }))
  }
  const five = { sub: 'a', act: { sub: 'b', act: { sub: 'c', act: { sub: 'd', act: { sub: 'e' } } } } }
  for (const act of [
    'gateway',
    null,
    true,
    [],
    [{ sub: 'a' }],
    {},
    { sub: 1 },
    { sub: 'a b' },
    { sub: 'a', act: 1 },
    five,
  ]) {
    j22(`act is ${JSON.stringify(act)}`, forger.withClaims({ act }))
  }

  const j23 = as('J23', 'unsupported_header')
  j23('no typ', forger.token({ header: withoutMember(header, 'typ') }))
  for (const typ of [
    'JWT',
    'jwt',
    'rt+jwt',
    'id_token',
    'ID',
    'at',
    'at+JWT',
    'AT+JWT',
    'at+jwt ',
    'application/jwt',
    'application/application/at+jwt',
    'secevent+jwt',
    'dpop+jwt',
    'JOSE',
    '',
  ]) {
    j23(`typ "${typ}"`, forger.withHeader({ typ }))
  }
  for (const [what, typ] of [...notStrings, ['a list of the right one', ['at+jwt']]] as const) {
    j23(`typ is ${what}`, forger.withHeader({ typ }))
  }

  return list
}
