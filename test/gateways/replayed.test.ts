import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { test } from 'tap'
import { claimsOf } from '../support/decode.js'
import { exampleUrl } from '../support/gateways/program.js'
import { unixSeconds, withClaims } from '../support/gateways/tokens.js'
import { PASSWORD, startService } from '../support/service.js'

/** The request of a caller to a gateway. */
interface Caller {
  method: string
  path: string
  authorization?: string
  body?: string
}

/** The request of a gateway about a caller, as its documentation and its sources define it. */
type Ask = (caller: Caller) => string[]

const example = (file: string) => readFileSync(exampleUrl(file), 'utf8')
const found = (text: string, pattern: RegExp) => pattern.exec(text)?.[1] ?? `nothing like ${pattern} in the example`
const bearer = (name: string, { authorization }: Caller) => (authorization ? [`${name}: ${authorization}`] : [])

// Envoy sends the caller's method, the prefix with the whole path, Host, Authorization, and always a length of 0.
const envoyPrefix = found(example('envoy.yaml'), /path_prefix: (\S+)/)
const istioPrefix = found(example('istio.yaml'), /pathPrefix: (\S+)/)
const envoy =
  (prefix: string): Ask =>
  (caller) => [
    `${caller.method} ${prefix}${caller.path} HTTP/1.1`,
    'host: app.example.com',
    'content-length: 0',
    ...bearer('authorization', caller),
    'x-envoy-internal: true',
    'x-forwarded-for: 10.4.0.7',
    'x-envoy-expected-rq-timeout-ms: 2000',
  ]

// Traefik sends GET to the address, with the configured headers, and the caller's request in X-Forwarded-*.
const traefik =
  (address: string): Ask =>
  (caller) => {
    const { host, pathname, search } = new URL(address)
    return [
      `GET ${pathname}${search} HTTP/1.1`,
      `Host: ${host}`,
      'User-Agent: Go-http-client/1.1',
      ...bearer('Authorization', caller),
      'X-Forwarded-For: 203.0.113.9',
      'X-Forwarded-Host: app.example.com',
      `X-Forwarded-Method: ${caller.method}`,
      'X-Forwarded-Proto: https',
      `X-Forwarded-Uri: ${caller.path}`,
      'Accept-Encoding: gzip',
    ]
  }
const traefikAddresses = [...example('traefik.yaml').matchAll(/address: (\S+)/g)].map(([, address]) => address ?? '')

// Without authRequestHeaders Traefik forwards every header. With preserveRequestMethod it also forwards the method, and
// then Go writes a length for a body that it does not send.
const traefikAll: Ask = (caller) => [
  `${caller.method} /verify HTTP/1.1`,
  'Host: 127.0.0.1:3000',
  'User-Agent: curl/8.5.0',
  ...(caller.method === 'POST' ? ['Content-Length: 0'] : []),
  'Accept: */*',
  ...bearer('Authorization', caller),
  'Content-Type: multipart/form-data; boundary=x',
  'Content-Encoding: br',
  `Cookie: ${'c'.repeat(4000)}`,
  'X-Auth-Sub: root',
  'X-Forwarded-Server: gateway-1',
  'Accept-Encoding: gzip',
]

// Kong and APISIX (lua-resty-http) send GET with the configured headers, on a connection that stays open.
const resty =
  (uri: string, forwarded: (caller: Caller) => string[]): Ask =>
  (caller) => {
    const { host, pathname, search } = new URL(uri)
    return [
      `GET ${pathname}${search} HTTP/1.1`,
      'User-Agent: lua-resty-http/0.17.2 (Lua) ngx_lua/10028',
      `Host: ${host}`,
      ...bearer('Authorization', caller),
      ...forwarded(caller),
    ]
  }
const kongUri = found(example('kong.yaml'), /request_uri\('(\S+?)'/)
const apisixUris = [...example('apisix.yaml').matchAll(/ uri: (http\S+)/g)].map(([, uri]) => uri ?? '')
const apisixForwards = ({ method, path }: Caller) => [
  'X-Forwarded-Proto: https',
  `X-Forwarded-Method: ${method}`,
  'X-Forwarded-Host: app.example.com',
  `X-Forwarded-Uri: ${path}`,
  'X-Forwarded-For: 203.0.113.9',
]

const SIGNED_IN: Record<string, Ask> = {
  Envoy: envoy(envoyPrefix),
  Istio: envoy(istioPrefix),
  Traefik: traefik(traefikAddresses[0] ?? ''),
  'Traefik, all headers': traefikAll,
  Kong: resty(kongUri, () => []),
  APISIX: resty(apisixUris[0] ?? '', apisixForwards),
}

const ADMIN: Record<string, Ask> = {
  // The prefix may end in a parameter that takes the path. The rest of this parameter is the gateway's own.
  Envoy: envoy(`${envoyPrefix}?aud=todo&scope=todo:write&role=admin&path=`),
  Traefik: traefik(traefikAddresses[1] ?? ''),
  APISIX: resty(apisixUris[1] ?? '', apisixForwards),
}

const CALLERS: Caller[] = [
  { method: 'GET', path: '/' },
  { method: 'GET', path: '/notes/7?sort=up&q=%C3%BC' },
  { method: 'POST', path: '/notes', body: '{"text":"milk"}' },
  { method: 'HEAD', path: '/notes' },
  { method: 'OPTIONS', path: '/notes' },
  { method: 'DELETE', path: `/${'long/'.repeat(400)}` },
  { method: 'PROPFIND', path: '//notes/../%2e%2e/verify' },
  { method: 'REPORT', path: '/introspect?token=x&access_token=y' },
  { method: 'PURGE', path: '/a;b=c/(d)!/e%20f?g=h?i=j&scope=todo:read' },
]

for (const [name, ask] of Object.entries(SIGNED_IN)) {
  test(`${name}: the answer to its request about a caller has the form that it expects`, async (t) => {
    const { api } = await startService(t, 'sqlite')
    await api.signUp('ada', PASSWORD)
    const { access_token: live, sid } = await api.tokens('ada', PASSWORD, { scope: 'todo:read todo:write' })
    const { access_token: revoked } = await api.tokens('ada', PASSWORD)
    await api.logout(revoked)

    for (const caller of CALLERS) {
      // All requests use one connection, as in a gateway. The next bytes must be the next answer.
      const tokens = [live, revoked, live, 'garbage', withClaims(live, { exp: unixSeconds() - 1 }), live]
      const asked = [...tokens.map((token) => ask({ ...caller, authorization: `Bearer ${token}` })), ask(caller)]
      const answers = await exchange(api.url, asked, isHead(asked[0]))
      const statuses = answers.map(({ status }) => status)
      t.strictSame(statuses, [200, 401, 200, 401, 401, 200, 401], `${caller.method} ${caller.path.slice(0, 40)}`)
      for (const { status, headers, body } of answers) {
        if (status === 200) {
          t.equal(body, '')
          t.match(headers, {
            'x-auth-sub': claimsOf(live).sub,
            'x-auth-sid': sid,
            'x-auth-client-id': 'latchkey',
            'x-auth-scope': 'todo:read todo:write',
            // These headers are always present. A gateway that copies only present headers would leave the caller's
            // own.
            'x-auth-roles': '',
            'x-auth-act': '',
            'cache-control': 'no-store',
            connection: 'keep-alive',
          })
        } else {
          t.match(headers, { 'www-authenticate': /^Bearer realm="latchkey"/, 'cache-control': 'no-store' })
          t.notOk(Object.keys(headers).some((name) => name.startsWith('x-auth-')))
        }
      }
    }
  })
}

for (const [name, ask] of Object.entries(ADMIN)) {
  test(`${name}: the service checks what its configuration requires, whatever the caller adds to the query`, async (t) => {
    const { api } = await startService(t, 'sqlite', { AUDIENCE: 'http://latchkey.test,todo' })
    await api.signUp('ada', PASSWORD)
    const { access_token: token } = await api.tokens('ada', PASSWORD)
    const enough = { aud: 'todo', scope: 'todo:read todo:write', roles: ['admin'] }
    const lacking = [{ aud: 'http://latchkey.test' }, { scope: 'todo:read' }, { scope: '' }, { roles: ['user'] }]
    const claims = [enough, ...lacking.map((lack) => ({ ...enough, ...lack })), enough]
    for (const path of ['/admin', '/admin?x=y', '/admin?scope=&role=&aud=', '/admin?scope=todo:read&aud=todo']) {
      const asked = claims.map((each) =>
        ask({ method: 'GET', path, authorization: `Bearer ${withClaims(token, each)}` }),
      )
      const statuses = (await exchange(api.url, asked)).map(({ status }) => status)
      t.strictSame(statuses, [200, 403, 403, 403, 403, 200], path)
    }
  })
}

test('the query that Envoy and Caddy forward lets a caller only add requirements', async (t) => {
  const { api } = await startService(t, 'sqlite')
  await api.signUp('ada', PASSWORD)
  const { access_token: token } = await api.tokens('ada', PASSWORD, { scope: 'todo:read' })
  const asked = ['/notes?scope=todo:read', '/notes?scope=todo:read&scope=todo:write', '/notes?role=x', '/notes?aud=x']
  const answers = await exchange(
    api.url,
    asked.map((path) => envoy(envoyPrefix)({ method: 'GET', path, authorization: `Bearer ${token}` })),
  )
  t.strictSame(
    answers.map(({ status }) => status),
    [200, 403, 403, 403],
  )
})

interface Answer {
  status: number
  headers: Record<string, string>
  body: string
}

const isHead = (lines: string[] | undefined) => lines?.[0]?.startsWith('HEAD ') ?? false

/** Sends the requests one after the other on one connection. Reads each answer by its length, like a gateway. */
async function exchange(url: string, requests: string[][], areHead = false): Promise<Answer[]> {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  const answers: Answer[] = []
  let read = ''
  const [first, ...rest] = requests.map((lines) => `${lines.join('\r\n')}\r\n\r\n`)
  socket.write(first ?? '')
  for await (const chunk of socket.setEncoding('utf8')) {
    read += chunk
    const end = read.indexOf('\r\n\r\n')
    if (end === -1) continue
    const [line = '', ...lines] = read.slice(0, end).split('\r\n')
    const headers = Object.fromEntries(
      lines.map((each) => [each.slice(0, each.indexOf(':')).toLowerCase(), each.slice(each.indexOf(':') + 1).trim()]),
    )
    const length = areHead ? 0 : Number(headers['content-length'])
    const body = Buffer.from(read.slice(end + 4))
    if (body.length < length) continue
    answers.push({ status: Number(line.split(' ')[1]), headers, body: body.subarray(0, length).toString() })
    read = body.subarray(length).toString()
    const next = rest.shift()
    if (next === undefined) break
    socket.write(next)
  }
  socket.destroy()
  return answers
}
