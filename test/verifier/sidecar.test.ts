import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type Test, test } from 'tap'
import { countAcceptedLate, eventually } from '../support/eventually.js'
import { startFeedServer } from '../support/feed-server.js'
import { withClaims } from '../support/gateways/tokens.js'
import { startTcpProxy } from '../support/servers/tcp-proxy.js'
import { CLIENT, ISSUER, PASSWORD, startService, temporaryFolder } from '../support/service.js'
import { SIDECAR, startSidecar } from '../support/sidecar.js'
import { exchange } from '../support/socket.js'

const AUDIENCES = `${ISSUER},todo`

async function start(t: Test, settings: Record<string, string> = {}) {
  const service = await startService(t, 'sqlite', { AUDIENCE: AUDIENCES })
  await service.api.signUp('ada', PASSWORD)
  const sidecar = await startSidecar(t, {
    LATCHKEY_URL: service.api.url,
    ISSUER,
    AUDIENCE: AUDIENCES,
    ...settings,
  })
  const token = async () => (await service.api.tokens('ada', PASSWORD, { scope: 'todo:read todo:write' })).access_token
  return { service, sidecar, token }
}

/** An answer without what differs between any two answers. */
async function answerOf(url: string, text: string): Promise<unknown> {
  const { text: answer } = await exchange(url, text, { patience: 10_000 })
  const [head = '', ...body] = answer.split('\r\n\r\n')
  const [status, ...lines] = head.split('\r\n')
  const headers = lines
    .map((line) => line.replace(/^[^:]+/, (name) => name.toLowerCase()))
    .filter((line) => !/^date:/.test(line))
    .map((line) => line.replace(/^(x-request-id: )[\w-]{12}-\d+$/, '$1…'))
    .sort()
  return { status, headers, body: body.join('\r\n\r\n') }
}

test('the sidecar answers /verify as the service does, to the header', async (t) => {
  const { service, sidecar, token } = await start(t)
  const live = withClaims(await token(), { roles: ['admin', 'audit'], aud: 'todo' })
  const plain = await token()
  const ended = await token()
  await service.api.logout(ended)
  const { body: client } = await service.api.call('/token', {
    form: { grant_type: 'client_credentials', client_id: CLIENT.id, client_secret: CLIENT.secret },
  })
  const bearers: Record<string, string[]> = {
    live: [`Bearer ${live}`],
    plain: [`bearer ${plain}`],
    'a client': [`BEARER ${client.access_token}`],
    ended: [`Bearer ${ended}`],
    forged: [`Bearer ${withClaims(plain, {}, 'another secret, no less than 32 bytes long')}`],
    expired: [`Bearer ${withClaims(plain, { iat: 1_700_000_000, exp: 1_700_000_900 })}`],
    'another audience': [`Bearer ${withClaims(plain, { aud: 'elsewhere' })}`],
    garbage: ['Bearer garbage'],
    'a word without a token': ['Bearer'],
    'two spaces': [`Bearer  ${plain}`],
    'a list': [`Bearer ${plain}, Bearer ${plain}`],
    'another scheme': ['Basic dG9kbzpwdw=='],
    empty: [''],
    none: [],
    two: [`Bearer ${plain}`, `Bearer ${live}`],
  }
  const queries = [
    '',
    '?',
    '?aud=todo',
    '?aud=todo&scope=todo:write&role=admin',
    '?aud=http%3A%2F%2Flatchkey.test',
    '?scope=todo:read+todo:write',
    '?scope=todo:read%20todo:admin',
    '?scope=&role=&aud=',
    '?scope=todo:read&scope=todo:write',
    '?role=admin&role=root',
    '?role=administrator',
    '?roles=admin',
    '?Scope=x',
    '?audience=todo',
    '?amp;role=admin',
    '?role[]=admin',
    '?%EF%BD%92ole=x',
    '?r%6Fle=admin',
    '?resource=x&page=2&user_role=1&scoped=1',
    '?role',
    '?=&&a=b&role=admin&',
    '?a=%zz&role=admin',
    '?__proto__=x&constructor=y&role=admin',
    `?${'a=b&'.repeat(1200)}roles=x`,
    '?role=admin#role=root',
    '?acr=1',
    '?acr=2',
    '?acr=2&acr=1',
    '?acr=3',
    '?acr=',
    '?max_age=0',
    '?max_age=300',
    '?max_age=300&max_age=0',
    '?max_age=-1',
    '?max_age=soon',
    '?acr=1&max_age=300',
    '?acr_values=2',
    '?maxage=1',
    '?Max-Age=1',
    '?acr=2&aud=elsewhere',
  ]
  const compare = async (what: string, text: string) =>
    t.strictSame(await answerOf(sidecar.url, text), await answerOf(service.api.url, text), what)
  const ask = (line: string, authorizations: readonly string[], more = '') =>
    `${line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${authorizations.map((value) => `Authorization: ${value}\r\n`).join('')}${more}\r\n`

  for (const [what, authorizations] of Object.entries(bearers)) {
    await compare(what, ask('GET /verify', authorizations))
    await compare(`${what}, with a question`, ask('GET /verify/x?roles=admin&scope=nothing', authorizations))
  }
  for (const query of queries) {
    for (const name of ['live', 'plain']) {
      await compare(`${name} ${query.slice(0, 60)}`, ask(`GET /verify${query}`, bearers[name] ?? []))
    }
  }
  const good = bearers.live ?? []
  for (const method of [
    'HEAD',
    'POST',
    'PUT',
    'PATCH',
    'DELETE',
    'OPTIONS',
    'PROPFIND',
    'M-SEARCH',
    'TRACE',
    'QUERY',
  ]) {
    await compare(method, ask(`${method} /verify`, good))
    await compare(`${method}, refused`, ask(`${method} /verify/a`, []))
  }
  for (const path of [
    '/verify/',
    '/verify/a/b',
    '/verify//',
    '/verify/../x',
    '/verify/%2e%2e',
    '/verify/%zz',
    '/verify?',
    '/verifyx',
    '/x',
    '/Verify',
    '//verify',
  ]) {
    await compare(path, ask(`GET ${path}`, good))
  }
  for (const [what, more] of Object.entries({
    'a request id': 'X-Request-Id: abc-123\r\n',
    'a strange request id': 'X-Request-Id: a b\r\n',
    'a body that never comes': 'Content-Length: 9999\r\n',
    'a body': 'Content-Length: 0\r\nContent-Type: nothing/at-all\r\nContent-Encoding: gzip\r\n',
    'a strange coding': 'Transfer-Encoding: gzip, chunked\r\n',
    'two content types': 'Content-Type: a/b\r\nContent-Type: c/d\r\n',
  })) {
    await compare(what, ask('POST /verify', good, more))
  }
  const authorization = `Authorization: ${good[0]}\r\n`
  await compare('two hosts', `GET /verify HTTP/1.1\r\nHost: x\r\nHost: y\r\nConnection: close\r\n${authorization}\r\n`)
  await compare('no host', `GET /verify HTTP/1.1\r\nConnection: close\r\n${authorization}\r\n`)
  await compare('an expectation', ask('GET /verify', good, 'Expect: 200-ok\r\n'))
  await compare('no HTTP', 'hello\r\n\r\n')
  await compare('a broken header', ask('GET /verify', good, 'a b c\r\n'))
  await compare('large headers', ask('GET /verify', good, `X-Large: ${'a'.repeat(9000)}\r\n`))
  await compare('HTTP/1.0', `GET /verify HTTP/1.0\r\n${authorization}\r\n`)
})

test('the sidecar closes to a token within a second of its sign-out, and asks nobody about others', async (t) => {
  const { service, sidecar, token } = await start(t)
  const [one, other] = [await token(), await token()]
  const status = async (bearer: string) =>
    (await fetch(`${sidecar.url}/verify`, { headers: { authorization: `Bearer ${bearer}` } })).status
  t.equal(await status(one), 200)
  t.equal(await status(other), 200)
  await service.api.logout(one)
  t.equal(await countAcceptedLate(async () => (await status(one)) !== 200), 0)
  await eventually(async () => (await status(one)) === 401)
  t.equal(await status(other), 200)
})

test('F31: without the service the sidecar answers 503 and admits nobody', async (t) => {
  const { service, sidecar, token } = await start(t, { MAX_STALENESS: '400ms' })
  const [ended, other] = [await token(), await token()]
  const get = (bearer: string) => fetch(`${sidecar.url}/verify`, { headers: { authorization: `Bearer ${bearer}` } })
  t.equal((await get(other)).status, 200)
  await service.api.logout(ended)
  await service.close()
  await eventually(async () => (await get(other)).status === 503)
  const refused = await get(other)
  t.equal(refused.headers.get('retry-after'), '1')
  t.equal(((await refused.json()) as { error: string }).error, 'temporarily_unavailable')
  t.equal((await get(ended)).ok, false)
  t.match(sidecar.output(), /a token was refused: unavailable/)
})

test('/livez, /readyz and /metrics', async (t) => {
  const { sidecar, token } = await start(t)
  const bearer = await token()
  await fetch(`${sidecar.url}/verify`, { headers: { authorization: `Bearer ${bearer}` } })
  await fetch(`${sidecar.url}/verify`)
  await fetch(`${sidecar.url}/verify`, { headers: { authorization: 'Bearer a.b.c' } })
  t.equal((await fetch(`${sidecar.url}/livez`)).status, 200)
  t.equal((await fetch(`${sidecar.url}/readyz`)).status, 200)
  t.equal((await fetch(`${sidecar.url}/readyz`, { method: 'POST' })).status, 405)
  const metrics = await (await fetch(`${sidecar.url}/metrics`)).text()
  for (const line of [
    'latchkey_sidecar_answers_total{status="200"} 1',
    'latchkey_sidecar_answers_total{status="401"} 2',
    'latchkey_sidecar_refused_tokens_total{code="malformed"} 1',
    'latchkey_sidecar_ready 1',
    'latchkey_sidecar_malformed_feed_entries_total 0',
  ]) {
    t.ok(metrics.includes(`${line}\n`), line)
  }
  t.notMatch(metrics, bearer.slice(-20))
})

test('with a wrong setting the sidecar says why it is not ready', async (t) => {
  const { api } = await startService(t, 'sqlite')
  const wrong = await startSidecar(t, { LATCHKEY_URL: api.url, AUDIENCE: 'todo', PORT: '0' }, 'listens on')
  await eventually(() => wrong.output().includes('set issuer to it'))
  const url = /listens on (\S+)/.exec(wrong.output())?.[1]
  t.equal((await fetch(`${url}/livez`)).status, 200)
  t.equal((await fetch(`${url}/readyz`)).status, 503)
})

test('the sidecar waits for the service, and is ready when the service answers', async (t) => {
  const server = await startFeedServer(t)
  const wire = await startTcpProxy(server.port)
  t.teardown(() => wire.stop())
  wire.cut()
  const settings = { LATCHKEY_URL: `http://127.0.0.1:${wire.port}`, ISSUER: server.url, AUDIENCE: 'todo' }
  const sidecar = await startSidecar(t, settings, 'listens on')
  const status = async (path: string) => {
    const headers = { authorization: `Bearer ${server.issue().token}` }
    return (await fetch(sidecar.url + path, { headers })).status
  }
  t.equal(await status('/livez'), 200)
  t.equal(await status('/readyz'), 503)
  t.equal(await status('/verify'), 503)
  wire.restore()
  await eventually(async () => (await status('/readyz')) === 200)
  t.equal(await status('/verify'), 200)
})

/** Runs the sidecar until it exits. */
const run = (env: Record<string, string>, args: string[] = []) =>
  promisify(execFile)(process.execPath, [SIDECAR, ...args], { env: { PATH: process.env.PATH, ...env } }).then(
    ({ stdout }) => ({ code: 0, stderr: '', stdout }),
    (error: { code: number; stderr: string; stdout: string }) => error,
  )

test('wrong settings are all told in clear lines, without a secret, and the process exits 1', async (t) => {
  const nothing = await run({})
  t.equal(nothing.code, 1)
  for (const name of ['LATCHKEY_URL', 'AUDIENCE', 'CLIENT_ID', 'CLIENT_SECRET']) t.match(nothing.stderr, name)
  const folder = temporaryFolder(t)
  writeFileSync(join(folder, 'empty'), '\n')
  const bad = await run({
    LATCHKEY_URL: 'latchkey:3000',
    AUDIENCE: 'todo',
    CLIENT_ID: 'todo',
    CLIENT_SECRET: 'hunter2',
    CLIENT_SECRET_FILE: join(folder, 'empty'),
    PORT: '70000',
    MAX_STALENESS: 'soon',
  })
  t.equal(bad.code, 1)
  for (const text of [
    'LATCHKEY_URL must begin',
    'CLIENT_SECRET and CLIENT_SECRET_FILE are both set',
    'PORT must be',
    'MAX_STALENESS must be',
  ]) {
    t.match(bad.stderr, text)
  }
  t.notMatch(bad.stderr, 'hunter2')
  const rest = { LATCHKEY_URL: 'http://localhost', AUDIENCE: 'todo', CLIENT_ID: 'todo' }
  for (const [file, message] of [
    ['empty', /is empty/],
    ['missing', /cannot be read: ENOENT/],
  ] as const) {
    const { code, stderr } = await run({ ...rest, CLIENT_SECRET_FILE: join(folder, file) })
    t.equal(code, 1)
    t.match(stderr, message)
  }
  t.equal((await run({}, ['--help'])).code, 0)
  t.match((await run({}, ['--help'])).stdout, 'LATCHKEY_URL')
  t.equal((await run({}, ['serve'])).code, 1)
})

test('PORT may be a Unix socket: one that a killed process left behind is replaced, and one in use is not', async (t) => {
  const path = join(temporaryFolder(t), 'sidecar.sock')
  const secretFile = join(temporaryFolder(t), 'secret')
  writeFileSync(secretFile, `${CLIENT.secret}\n`)
  const { service, sidecar, token } = await start(t, { PORT: path, CLIENT_SECRET_FILE: secretFile })
  const get = async () => {
    const headers = { authorization: `Bearer ${await token()}` }
    const outgoing = request({ socketPath: path, path: '/verify', headers })
    const [response] = await once(outgoing.end(), 'response')
    response.resume()
    return response.statusCode
  }
  t.equal(await get(), 200)
  const settings = { LATCHKEY_URL: service.api.url, ISSUER, AUDIENCE: AUDIENCES, PORT: path }
  await t.rejects(startSidecar(t, settings), { message: /EADDRINUSE/ })
  const exited = once(sidecar.process, 'exit')
  sidecar.process.kill('SIGKILL')
  await exited
  t.ok(existsSync(path))
  await startSidecar(t, settings)
  t.equal(await get(), 200)
})

test('O9: PORT that names a file by mistake is refused, and the file stays', async (t) => {
  const folder = temporaryFolder(t)
  const [file, link] = [join(folder, 'accounts.db'), join(folder, 'link.sock')]
  writeFileSync(file, 'precious')
  symlinkSync(file, link)
  for (const path of [file, link, folder]) {
    const { code, stderr } = await run({
      LATCHKEY_URL: 'http://127.0.0.1:1',
      AUDIENCE: 'todo',
      CLIENT_ID: 'todo',
      CLIENT_SECRET: CLIENT.secret,
      PORT: path,
    })
    t.equal(code, 1, path)
    t.match(stderr, /PORT: .* exists and is not a socket: name another path/)
  }
  t.equal(readFileSync(file, 'utf8'), 'precious')
})

test('O4: SIGHUP, SIGUSR1 and SIGUSR2 end nothing, also while the sidecar waits for the service', async (t) => {
  const sidecar = await startSidecar(t, { LATCHKEY_URL: 'http://127.0.0.1:9', AUDIENCE: 'todo' }, 'listens on')
  for (const signal of ['SIGHUP', 'SIGUSR1', 'SIGUSR2'] as const) {
    sidecar.process.kill(signal)
    t.equal((await fetch(`${sidecar.url}/livez`)).status, 200, signal)
  }
  t.notMatch(sidecar.output(), /[Dd]ebugger/)
  // The reader of the log is gone. A refused token is logged.
  sidecar.process.stderr?.destroy()
  const headers = { authorization: `Bearer ${(await startFeedServer(t)).issue().token}` }
  t.equal((await fetch(`${sidecar.url}/verify`, { headers })).status, 503)
  t.equal((await fetch(`${sidecar.url}/livez`)).status, 200)
  t.strictSame([sidecar.process.exitCode, sidecar.process.signalCode], [null, null])
})

test('at SIGTERM the sidecar answers the request in flight, and exits 0', async (t) => {
  const server = await startFeedServer(t)
  const sidecar = await startSidecar(t, { LATCHKEY_URL: server.url, AUDIENCE: 'todo' })
  const exited = once(sidecar.process, 'exit')
  const before = server.introspections
  const release = server.holdIntrospections()
  // The sidecar introspects a token of a shared secret. So the request is in flight until the introspection is answered.
  const headers = { authorization: `Bearer ${server.issue().token}` }
  const status = fetch(`${sidecar.url}/verify`, { headers }).then(({ status }) => status, String)
  await eventually(() => server.introspections > before)
  sidecar.process.kill('SIGTERM')
  const isListening = () =>
    fetch(`${sidecar.url}/livez`).then(
      () => true,
      () => false,
    )
  await eventually(async () => !(await isListening()))
  release()
  t.equal(await status, 200)
  t.strictSame(await exited, [0, null])
})
