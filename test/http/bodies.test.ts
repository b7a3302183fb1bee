import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib'
import { type Test, test } from 'tap'
import { basicAuthorization } from '../support/api.js'
import { routesWithBody } from '../support/documented-routes.js'
import { anyStore, PASSWORD, type Store, startService } from '../support/service.js'
import { exchange, parseAnswer } from '../support/socket.js'

const JSON_TYPE = { 'content-type': 'application/json' }
const FORM_TYPE = { 'content-type': 'application/x-www-form-urlencoded' }

for (const store of anyStore) test(`${store}: bodies and queries`, (t) => checkBodies(t, store))

async function checkBodies(t: Test, store: Store): Promise<void> {
  const { api } = await startService(t, store, { DOCS: 'on' })

  await t.test('H1: a body with an unusual content type is validated like any other, or gets 415', async (t) => {
    // A content type that bypassed the schema would reach the sign-in without a password.
    const raw = '{"username":"ada"}'
    const validated = [
      'application/json',
      'Application/JSON',
      'application/json;',
      'application/json ; charset=utf-8',
      'application/json\t;charset=UTF-8',
      'application/json; charset="utf-8"',
      'application/json; version=1',
    ]
    const refused = [
      '',
      ';',
      'json',
      'text/json',
      'text/plain',
      'application/jsonx',
      'application/json,text/plain',
      'application/json charset=utf-8',
      'application/vnd.api+json',
      'application/xml',
      'multipart/form-data; boundary=x',
      '__proto__',
    ]
    for (const type of validated) {
      const { status, body } = await api.call('/login', { raw, headers: { 'content-type': type } })
      t.match(
        { status, body },
        { status: 400, body: { error: 'invalid_request', error_description: 'password is missing' } },
        type,
      )
    }
    for (const type of [...refused, undefined]) {
      const { status, body } = await api.call('/login', {
        raw,
        headers: type === undefined ? {} : { 'content-type': type },
      })
      t.match(
        { status, body },
        { status: 415, body: { error: 'invalid_request', error_description: String } },
        type ?? 'none',
      )
    }
  })

  await t.test('H2: a compressed body gets 415', async (t) => {
    const body = JSON.stringify({ username: 'ada', password: PASSWORD })
    const encodings: [string, Buffer][] = [
      ['gzip', gzipSync(body)],
      ['GZIP', gzipSync(body)],
      ['deflate', deflateSync(body)],
      ['br', brotliCompressSync(body)],
      ['identity, gzip', gzipSync(body)],
      ['', Buffer.from(body)],
    ]
    for (const [encoding, raw] of encodings) {
      const { status } = await api.call('/login', { raw, headers: { ...JSON_TYPE, 'content-encoding': encoding } })
      t.equal(status, 415, encoding)
    }
    const plain = await api.call('/login', { raw: body, headers: { ...JSON_TYPE, 'content-encoding': 'identity' } })
    t.equal(plain.status, 401)
    const unnamed = await api.call('/login', { raw: gzipSync(body), headers: JSON_TYPE })
    t.equal(unnamed.status, 400)
  })

  await t.test('H3: a body that is not UTF-8 gets 415 if its header says so, otherwise 400', async (t) => {
    const body = JSON.stringify({ username: 'ada', password: PASSWORD })
    for (const charset of ['utf-16', 'UTF-16LE', 'utf-7', 'iso-8859-1', '"utf-16"', 'utf-8x', '']) {
      const raw = Buffer.from(body, charset.includes('16') ? 'utf16le' : 'utf8')
      // A form with the charset Latin-1 and ASCII content has its own rule, below.
      const types = charset === 'iso-8859-1' ? [] : ['application/x-www-form-urlencoded']
      for (const type of ['application/json', ...types]) {
        const { status } = await api.call('/login', { raw, headers: { 'content-type': `${type}; charset=${charset}` } })
        t.equal(status, 415, `${type} ${charset}`)
      }
    }
    const bytes: [string, Buffer, Record<string, string>][] = [
      ['UTF-16', Buffer.from(body, 'utf16le'), JSON_TYPE],
      ['UTF-16 with its mark', Buffer.from(`\ufeff${body}`, 'utf16le'), JSON_TYPE],
      ['UTF-7', Buffer.from('+AHs-+ACI-username+ACI-:+ACI-ada+ACI-+AH0-'), JSON_TYPE],
      ['Latin-1', Buffer.from('{"username":"ada","password":"café au lait complet"}', 'latin1'), JSON_TYPE],
      [
        'an overlong character',
        Buffer.from([...Buffer.from('{"username":"a'), 0xc1, 0xa1, ...Buffer.from('","password":"x"}')]),
        JSON_TYPE,
      ],
      ['Latin-1 form', Buffer.from('username=ada&password=café', 'latin1'), FORM_TYPE],
      ['percent-encoded Latin-1', Buffer.from('username=ada&password=caf%E9'), FORM_TYPE],
      ['a lone percent sign', Buffer.from('username=ada&password=100% sure'), FORM_TYPE],
    ]
    for (const [what, raw, headers] of bytes) {
      const { status, body: answer } = await api.call('/login', { raw, headers })
      t.match({ status, error: answer.error }, { status: 400, error: 'invalid_request' }, what)
    }
  })

  await t.test('passwords that differ only in invalid UTF-8 bytes are refused and never count as equal', async (t) => {
    const signUp = (bytes: number[]) =>
      api.call('/users', {
        raw: Buffer.concat([
          Buffer.from('{"username":"bob","password":"a latin-1 passw'),
          Buffer.from(bytes),
          Buffer.from('rd"}'),
        ]),
        headers: JSON_TYPE,
      })
    t.equal((await signUp([0xf6])).status, 400)
    t.equal((await signUp([0xff])).status, 400)
    t.equal((await signUp([0xc3, 0xb6])).status, 201)
    t.equal((await api.login('bob', 'a latin-1 passwörd')).status, 200)
    t.equal((await api.login('bob', 'a latin-1 passw\ufffdrd')).status, 400)
  })

  await t.test('H4: a query parameter given twice gets 400, known or unknown', async (t) => {
    await api.signUp('ada', PASSWORD)
    const { access_token: bearer } = await api.tokens('ada', PASSWORD)
    for (const [method, path] of [
      ['DELETE', '/sessions?except=current&except=current'],
      ['DELETE', '/sessions?except=current&unknown=1&unknown=2'],
      ['GET', '/sessions?unknown=1&unknown=1'],
      ['GET', '/sessions?unknown&unknown'],
      ['GET', '/sessions?a=1&%61=1'],
      ['POST', '/login?x=1&y=2&x=3'],
      ['GET', '/.well-known/jwks.json?v=1&v=2'],
    ] as const) {
      const { status, body } = await api.call(path, { method, bearer })
      t.match({ status, body }, { status: 400, body: { error: 'invalid_request', error_description: /twice/ } }, path)
    }
    t.equal((await api.call('/sessions?unknown=1&other=1', { bearer })).status, 200)
    t.equal((await api.call('/verify?scope=&scope=&x=1&x=2', { bearer })).status, 200, 'Caddy adds the caller’s query')
  })

  await t.test('H4: a body parameter given twice gets 400 on every route with a body, known or unknown', async (t) => {
    await api.signUp('ada', PASSWORD)
    const { access_token: bearer, refresh_token } = await api.tokens('ada', PASSWORD)
    const authorization = basicAuthorization(api.client).authorization
    const routes: [string, string, string][] = [
      ['POST', '/users', 'username=eve&username=eva&password=x'],
      ['POST', '/login', `username=ada&password=${PASSWORD}&password=x`],
      ['POST', '/login', `username=ada&password=${PASSWORD}&unknown=1&unknown=1`],
      ['POST', '/login', `username=ada&password=${PASSWORD}&scope=&scope=a`],
      ['POST', '/refresh', `refresh_token=${refresh_token}&refresh_token=${refresh_token}`],
      ['POST', '/logout', `token=${bearer}&token=x`],
      ['POST', '/logout-all', `token=${bearer}&token=x`],
      ['POST', '/introspect', `token=x&token=${bearer}`],
      ['POST', '/revoke', `token=x&token=${bearer}`],
      ['POST', '/token', 'grant_type=client_credentials&grant_type=refresh_token'],
      ['POST', '/users/me/password', `current_password=a&current_password=${PASSWORD}&new_password=x`],
      ['DELETE', '/users/me', `password=a&password=${PASSWORD}`],
    ]
    for (const [method, path, form] of routes) {
      const withClient = ['/introspect', '/revoke', '/token'].includes(path)
      const credentials = withClient
        ? { authorization }
        : path.startsWith('/users/me')
          ? { authorization: `Bearer ${bearer}` }
          : {}
      const json = `{${form
        .split('&')
        .map((pair) => JSON.stringify(pair.split('=')).replace(/^\[(.*),(.*)\]$/, '$1:$2'))
        .join(',')}}`
      for (const [raw, type] of [
        [form.replaceAll(' ', '+'), FORM_TYPE],
        [json, JSON_TYPE],
      ] as const) {
        const { status, body } = await api.call(path, { method, raw, headers: { ...credentials, ...type } })
        t.match(
          { status, body },
          { status: 400, body: { error: 'invalid_request', error_description: /twice/ } },
          `${method} ${path} ${type['content-type']}`,
        )
      }
    }
    for (const { name, method, path } of await routesWithBody(api)) {
      for (const [raw, type] of [
        ['x=1&x=1', FORM_TYPE],
        ['{"x":1,"x":1}', JSON_TYPE],
      ] as const) {
        const { status, body } = await api.call(path, { method, raw, headers: type })
        t.match({ status, body }, { status: 400, body: { error: 'invalid_request', error_description: /twice/ } }, name)
      }
    }
    t.equal(await api.isActive(bearer), true)
    t.equal((await api.refresh(refresh_token)).status, 200)
  })

  await t.test('H5: __proto__ in a body gets 400 and changes no prototype', async (t) => {
    await api.signUp('ada', PASSWORD)
    const own = `"username":"ada","password":"${PASSWORD}"`
    const bodies: [string, Record<string, string>][] = [
      [`{${own},"__proto__":{"polluted":true}}`, JSON_TYPE],
      [`{${own},"\\u005f_proto__":{"polluted":true}}`, JSON_TYPE],
      [`{${own},"more":[{"__proto__":{"polluted":true}}]}`, JSON_TYPE],
      [`{${own},"constructor":{"prototype":{"polluted":true}}}`, JSON_TYPE],
      ['{"__proto__":{"username":"ada","password":"x"}}', JSON_TYPE],
      [`username=ada&password=${PASSWORD}&__proto__=polluted`, FORM_TYPE],
      [`username=ada&password=${PASSWORD}&%5f_proto__=polluted`, FORM_TYPE],
    ]
    for (const [raw, headers] of bodies) {
      const { status, body } = await api.call('/login', { raw, headers })
      t.match({ status, error: body.error }, { status: 400, error: 'invalid_request' }, raw)
    }
    t.notOk('polluted' in {})
    const harmless = await api.call('/login', { raw: `{${own},"constructor":1,"toString":"x"}`, headers: JSON_TYPE })
    t.equal(harmless.status, 200)
  })

  await t.test('H6: a body over 16 KiB gets 413, with or without Content-Length, and 16 KiB is accepted', async (t) => {
    const ofSize = (size: number) => '{"username":"ada","password":"x"}'.padEnd(size, ' ')
    t.equal((await api.call('/login', { raw: ofSize(16_384), headers: JSON_TYPE })).status, 401)
    const announced = await api.call('/login', { raw: ofSize(16_385), headers: JSON_TYPE })
    t.match({ status: announced.status, error: announced.body.error }, { status: 413, error: 'invalid_request' })

    const chunk = `1000\r\n${' '.repeat(4096)}\r\n`
    const head =
      'POST /login HTTP/1.1\r\nHost: latchkey\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n'
    const { text } = await exchange(api.url, head + chunk.repeat(5), { until: 'answered' })
    t.equal(parseAnswer(text).status, 413)
  })

  await t.test('a body of the greatest possible depth gets 400 and does not overflow the stack', async (t) => {
    const [open, close] = ['[', ']'].map((bracket) => bracket.repeat(8000)) as [string, string]
    for (const raw of [
      open + close,
      `{"username":"ada","password":${open}${close}}`,
      `${'{"a":'.repeat(2700)}1${'}'.repeat(2700)}`,
    ]) {
      const { status, body } = await api.call('/login', { raw, headers: JSON_TYPE })
      t.match(
        { status, body },
        { status: 400, body: { error: 'invalid_request', error_description: /missing|string|object/ } },
      )
    }
  })

  await t.test('a form parameter without a value counts as omitted (RFC 6749 §3.1)', async (t) => {
    await api.signUp('ada', PASSWORD)
    const left = { device_name: '', scope: '', audience: '' }
    t.equal((await api.call('/login', { form: { username: 'ada', password: PASSWORD, ...left } })).status, 200)
    const missing = await api.call('/login', { form: { username: 'ada', password: '' } })
    t.match(missing, { status: 400, body: { error_description: 'password is missing' } })
  })

  await t.test('UTF-8 is accepted under each of its names', async (t) => {
    const labels = ['utf8', 'UTF8', 'Utf-8', '"UTF-8"', '"utf8"', "'utf-8'", ' utf-8 ', 'unicode-1-1-utf-8']
    for (const label of labels) {
      for (const [raw, type] of [
        ['{"username":"ada"}', 'application/json'],
        ['username=ada', 'application/x-www-form-urlencoded'],
      ] as const) {
        const headers = { 'content-type': `${type}; Charset=${label}; x=1` }
        t.match(
          await api.call('/login', { raw, headers }),
          { status: 400, body: { error_description: 'password is missing' } },
          label,
        )
      }
    }
    const inside = { 'content-type': 'application/json; note="; charset=utf-16"' }
    t.equal((await api.call('/login', { raw: '{}', headers: inside })).status, 400, 'a text like a parameter')
  })

  await t.test('a form with charset Latin-1 or ASCII gets 415 unless it is ASCII, also when decoded', async (t) => {
    await api.signUp('ada', PASSWORD)
    const send = (raw: string, charset: string, path = '/login') =>
      api.call(path, { raw, headers: { 'content-type': `application/x-www-form-urlencoded; charset=${charset}` } })
    const right = `username=ada&password=${PASSWORD.replaceAll(' ', '+')}`
    for (const charset of ['ISO-8859-1', 'iso8859-1', 'latin1', 'us-ascii', 'ASCII', 'windows-1252']) {
      t.equal((await send(right, charset)).status, 200, charset)
      t.equal((await send(right.replaceAll('+', '%20'), charset)).status, 200, charset)
      // UTF-8 reads these bytes as one letter, Latin-1 as two.
      for (const path of ['/login', '/users']) {
        const { status, body } = await send('username=eve&password=correct+horse+caf%C3%A9+staple', charset, path)
        t.match(
          { status, body },
          { status: 415, body: { error: 'invalid_request', error_description: /UTF-8/ } },
          charset,
        )
      }
      t.equal((await send('username=eve&password=caf%E9', charset)).status, 400)
    }
    t.equal((await send(right, 'utf-16')).status, 415)
  })

  await t.test('a content type with two charsets gets 400, and the connection closes', async (t) => {
    for (const type of [
      'application/json; charset=utf-8; charset=utf-8',
      'application/json; charset=utf-8; CHARSET=utf-16',
      'application/x-www-form-urlencoded;charset="utf-8";charset=iso-8859-1',
    ]) {
      const { status, headers, body } = await api.call('/login', { raw: '{}', headers: { 'content-type': type } })
      t.match(
        { status, connection: headers.connection, body },
        { status: 400, connection: 'close', body: { error: 'invalid_request', error_description: /twice/ } },
        type,
      )
    }
  })

  await t.test('half of a surrogate pair gets 400 in every body, and a whole pair is a character', async (t) => {
    const [whole, half] = ['\\ud83d\\ude00', '\\ud800']
    const password = (text: string) => `correct horse ${text} staple`
    const signUp = (text: string) =>
      api.call('/users', { raw: `{"username":"zoe","password":"${password(text)}"}`, headers: JSON_TYPE })
    for (const text of [
      half,
      '\\uD83D',
      '\\udC00',
      '\\ude00\\ud83d',
      `${half}${whole}`,
      `${whole}\\udfff`,
      `\\\\${half}`,
    ]) {
      t.match(
        await signUp(text),
        { status: 400, body: { error: 'invalid_request', error_description: /surrogate/ } },
        text,
      )
    }
    t.equal((await signUp(`${whole}\\\\ud800\\uD83D\\uDE00`)).status, 201, 'pairs, and a text like an escape')
    t.equal((await api.login('zoe', password('😀\\ud800😀'))).status, 200)

    const { access_token: bearer } = await api.tokens('zoe', password('😀\\ud800😀'))
    const authorization = basicAuthorization(api.client).authorization
    for (const { method, path } of await routesWithBody(api)) {
      const headers = path.startsWith('/users/me') ? { authorization: `Bearer ${bearer}` } : { authorization }
      for (const raw of [`{"a":"${half}"}`, `{"${half}":1}`, `{"a":[{"b":["${half}"]}]}`]) {
        const { status, body } = await api.call(path, { method, raw, headers: { ...JSON_TYPE, ...headers } })
        t.match({ status, body }, { status: 400, body: { error_description: /surrogate/ } }, `${method} ${path} ${raw}`)
      }
      const { status } = await api.call(path, { method, raw: 'a=%ED%A0%80', headers: { ...FORM_TYPE, ...headers } })
      t.equal(status, 400, `${method} ${path}, as a form`)
    }
    t.equal((await api.call('/sessions/%ED%A0%80', { method: 'DELETE', bearer })).status, 400, 'in a path')
  })
}
