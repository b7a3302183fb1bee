import { test } from 'tap'
import { PASSWORD, startService } from '../support/service.js'
import { exchange, parseAnswer } from '../support/socket.js'

const FORM = 'Content-Type: application/x-www-form-urlencoded\r\n'

test('H8: headers over 8 KB get 431; headers of 7 KB are accepted', async (t) => {
  const { api } = await startService(t, 'sqlite')
  const withHeader = (size: number) => `GET /sessions HTTP/1.1\r\nHost: x\r\nX-Long: ${'a'.repeat(size)}\r\n\r\n`
  const { text, isClosed } = await exchange(api.url, withHeader(8192))
  t.equal(isClosed, true)
  t.equal(parseAnswer(text).status, 431)
  t.match(JSON.parse(parseAnswer(text).body), { error: 'invalid_request', error_description: String })
  const inReach = await exchange(api.url, withHeader(7000), { until: 'answered' })
  t.equal(parseAnswer(inReach.text).status, 401)

  const many = Array.from({ length: 1000 }, (_, i) => `X-${i}: abcdefgh\r\n`).join('')
  const inMany = await exchange(api.url, `GET /sessions HTTP/1.1\r\nHost: x\r\n${many}\r\n`)
  t.equal(parseAnswer(inMany.text).status, 431)
  const address = await exchange(api.url, `GET /${'a'.repeat(9000)} HTTP/1.1\r\nHost: x\r\n\r\n`)
  t.equal(parseAnswer(address.text).status, 431)
})

test('H10: a request with an ambiguous length gets 400 and closes the connection: nothing behind it is read', async (t) => {
  const { api, log } = await startService(t, 'sqlite')
  await api.signUp('ada', PASSWORD)
  const post = (headers: string, body = '') => `POST /login HTTP/1.1\r\nHost: x\r\n${FORM}${headers}\r\n${body}`
  const requests: Record<string, string> = {
    'CL+TE': post('Content-Length: 5\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n'),
    'TE+CL': post('Transfer-Encoding: chunked\r\nContent-Length: 5\r\n', '0\r\n\r\n'),
    'TE.TE, chunked last': post('Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n'),
    'TE.TE, chunked first': post('Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n', '0\r\n\r\n'),
    'TE list': post('Transfer-Encoding: identity, chunked\r\n', '0\r\n\r\n'),
    'TE gzip': post('Transfer-Encoding: gzip, chunked\r\n', '0\r\n\r\n'),
    'chunked twice': post('Transfer-Encoding: chunked, chunked\r\n', '0\r\n\r\n'),
    'TE of another name': post('Transfer-Encoding: xchunked\r\n', '0\r\n\r\n'),
    'space before the colon': post('Transfer-Encoding : chunked\r\n', '0\r\n\r\n'),
    'CL.CL': post('Content-Length: 0\r\nContent-Length: 5\r\n', 'a=b&c'),
    'CL.CL, alike': post('Content-Length: 5\r\nContent-Length: 5\r\n', 'a=b&c'),
    'CL list': post('Content-Length: 5, 5\r\n', 'a=b&c'),
    'CL with a sign': post('Content-Length: +5\r\n', 'a=b&c'),
    'CL in hex': post('Content-Length: 0x5\r\n', 'a=b&c'),
    'negative CL': post('Content-Length: -1\r\n'),
    'bare LF': 'POST /login HTTP/1.1\nHost: x\nContent-Length: 0\n\n',
    'bare LF after a header': 'GET /sessions HTTP/1.1\r\nHost: x\nX-A: b\r\n\r\n',
    'bare LF at the end': 'GET /sessions HTTP/1.1\r\nHost: x\r\n\n',
    'bare CR': 'GET /sessions HTTP/1.1\r\nHost: x\r\nX-A: a\rb\r\n\r\n',
    'obs-fold': 'GET /sessions HTTP/1.1\r\nHost: x\r\nX-A: a\r\n b\r\n\r\n',
    'obs-fold of a credential': 'GET /sessions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer\r\n a\r\n\r\n',
    'NUL in a header': 'GET /sessions HTTP/1.1\r\nHost: x\r\nX-A: a\u0000b\r\n\r\n',
    'LF in a chunk size': post('Transfer-Encoding: chunked\r\n', '5\na=b&c\r\n0\r\n\r\n'),
    'chunk size with a sign': post('Transfer-Encoding: chunked\r\n', '+5\r\na=b&c\r\n0\r\n\r\n'),
  }
  const smuggled = 'GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n'
  for (const [name, request] of Object.entries(requests)) {
    const { text, isClosed } = await exchange(api.url, request + smuggled)
    t.equal(isClosed, true, `${name}: closed`)
    const { status, headers, body } = parseAnswer(text)
    t.match({ status, type: headers['content-type'] }, { status: 400, type: 'application/json; charset=utf-8' }, name)
    t.match(JSON.parse(body), { error: 'invalid_request', error_description: String })
    t.equal(text.split('HTTP/1.1 ').length, 2, `${name}: one answer`)
  }
  t.notOk(
    log.some(({ status }) => status === 404),
    'what rode behind was never read as a request',
  )
  t.equal((await api.login('ada', PASSWORD)).status, 200, 'the others are served')
})

test('H11: two Host headers get 400, and so does any duplicate header about the caller or the body', async (t) => {
  const { api } = await startService(t, 'sqlite')
  await api.signUp('ada', PASSWORD)
  const { access_token } = await api.tokens('ada', PASSWORD)
  const get = (headers: string) => `GET /sessions HTTP/1.1\r\n${headers}\r\n`
  const requests: Record<string, string> = {
    'two hosts': get('Host: x\r\nHost: y\r\n'),
    'two hosts, alike': get('Host: x\r\nhost: x\r\n'),
    'no host': get(''),
    'two tokens': get(`Host: x\r\nAuthorization: Bearer ${access_token}\r\nAuthorization: Bearer x\r\n`),
    'one token twice': get(
      `Host: x\r\nAuthorization: Bearer ${access_token}\r\nAUTHORIZATION: Bearer ${access_token}\r\n`,
    ),
    'two types': `POST /login HTTP/1.1\r\nHost: x\r\n${FORM}Content-Type: application/json\r\nContent-Length: 0\r\n\r\n`,
  }
  for (const [name, request] of Object.entries(requests)) {
    const { text, isClosed } = await exchange(api.url, request)
    const { status, body } = parseAnswer(text)
    t.equal(isClosed, true, `${name}: closed`)
    t.match({ status, body: JSON.parse(body) }, { status: 400, body: { error: 'invalid_request' } }, name)
  }
  const one = await exchange(api.url, get(`Host: x\r\nAuthorization: Bearer ${access_token}\r\n`), {
    until: 'answered',
  })
  t.equal(parseAnswer(one.text).status, 200)
  const old = await exchange(api.url, `GET /sessions HTTP/1.0\r\nAuthorization: Bearer ${access_token}\r\n\r\n`)
  t.equal(parseAnswer(old.text).status, 200, 'HTTP/1.0 needs no host')
})

test('H10, H11: an ambiguous request gets 400 on every address of both ports, and the connection closes', async (t) => {
  const { api, managementUrl } = await startService(t, 'sqlite', { DOCS: 'on' })
  const ambiguous: Record<string, (path: string) => string> = {
    'no host': (path) => `GET ${path} HTTP/1.1\r\n\r\n`,
    'two hosts': (path) => `GET ${path} HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n`,
    'TE gzip': (path) => `POST ${path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`,
    'TE of HTTP/1.0': (path) =>
      `POST ${path} HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
  }
  const addresses: [string, string][] = [
    ...['/login', '/verify', '/verify/x', '/docs', '/openapi.json', '/nope', '/%zz', '/.well-known/jwks.json'].map(
      (path): [string, string] => [api.url, path],
    ),
    ...['/livez', '/readyz', '/metrics', '/nope', '/%zz'].map((path): [string, string] => [managementUrl, path]),
  ]
  for (const [url, path] of addresses) {
    for (const [name, request] of Object.entries(ambiguous)) {
      const { text, isClosed } = await exchange(url, `${request(path)}GET /nope HTTP/1.1\r\nHost: x\r\n\r\n`)
      t.equal(isClosed, true, `${path}, ${name}: closed`)
      const { status, headers, body } = parseAnswer(text)
      t.match({ status, connection: headers.connection }, { status: 400, connection: 'close' }, `${path}, ${name}`)
      t.match(JSON.parse(body), { error: 'invalid_request', error_description: String })
      t.equal(text.split('HTTP/1.1 ').length, 2, `${path}, ${name}: one answer`)
    }
  }
  const old = await exchange(managementUrl, 'GET /livez HTTP/1.0\r\n\r\n')
  t.equal(parseAnswer(old.text).status, 200, 'HTTP/1.0 needs no host')
})

test('/verify accepts a forwarded request with two content types and a body that never arrives', async (t) => {
  const { api } = await startService(t, 'sqlite')
  await api.signUp('ada', PASSWORD)
  const { access_token } = await api.tokens('ada', PASSWORD)
  for (const version of ['1.0', '1.1']) {
    const { text } = await exchange(
      api.url,
      `POST /verify HTTP/${version}\r\nHost: x\r\nAuthorization: Bearer ${access_token}\r\nContent-Length: 10\r\n` +
        'Content-Type: text/plain\r\nContent-Type: text/html; charset=x; charset=y\r\n\r\n',
      { until: 'answered' },
    )
    t.equal(parseAnswer(text).status, 200, `HTTP/${version}`)
  }
})

test('H11: a gateway that forwards two Authorization headers gets 401', async (t) => {
  const { api } = await startService(t, 'sqlite')
  await api.signUp('ada', PASSWORD)
  const { access_token } = await api.tokens('ada', PASSWORD)
  const bearer = `Authorization: Bearer ${access_token}\r\n`
  const ask = (headers: string) =>
    exchange(api.url, `GET /verify HTTP/1.1\r\nHost: x\r\n${headers}\r\n`, { until: 'answered' })
  t.equal(parseAnswer((await ask(bearer)).text).status, 200)
  t.equal(parseAnswer((await ask(`${bearer}Authorization: Bearer x\r\n`)).text).status, 401)
  t.equal(parseAnswer((await ask(bearer + bearer)).text).status, 401)
})
