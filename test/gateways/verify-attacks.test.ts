import { connect } from 'node:net'
import { type Test, test } from 'tap'
import { PASSWORD, startService } from '../support/service.js'
import { exchange } from '../support/socket.js'

async function start(t: Test) {
  const { api } = await startService(t, 'sqlite')
  await api.signUp('ada', PASSWORD)
  const { access_token: token } = await api.tokens('ada', PASSWORD, { scope: 'todo:read' })
  return { url: api.url, token, authorization: `Authorization: Bearer ${token}\r\n` }
}

/** The status of each answer to these bytes. */
async function ask(url: string, bytes: string): Promise<number[]> {
  const { text } = await exchange(url, Buffer.from(bytes, 'latin1'))
  return statuses(text)
}

const statuses = (text: string) => [...text.matchAll(/^HTTP\/1\.1 (\d+)/gm)].map(([, status]) => Number(status))

test('only /verify and the paths below it admit, and only with a token', async (t) => {
  const { url, authorization } = await start(t)
  const get = (target: string, headers = '') =>
    `GET ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${headers}\r\n`
  const admitting = ['/verify', '/verify/', '/verify/x', '/verify/../introspect', '/%76erify', '/verify?', '/verify//x']
  admitting.push(`/verify/${'x'.repeat(5000)}`, 'http://elsewhere.test/verify', '/verify/%00%0d%0aX-Auth-Sub:%20root')
  for (const target of admitting) {
    t.strictSame(await ask(url, get(target)), [401], `without a token: ${target.slice(0, 60)}`)
    const { text } = await exchange(url, get(target, authorization))
    t.strictSame(statuses(text), [200], target.slice(0, 60))
    t.equal([...text.matchAll(/^x-auth-sub:/gim)].length, 1)
  }
  const others = ['//verify', '/verify%2f', '/verify%2Fx', '/VERIFY', '/verify;x', '/verify\\x', '/verifyx', '*']
  others.push(
    '/x/../verify',
    '/./verify',
    '/verify/%zz',
    '/verify/%',
    'verify',
    '/verify/\xff',
    'http://x.test//verify',
  )
  for (const target of others) {
    t.match(String(await ask(url, get(target, authorization))), /^40[04]$/, target)
  }
})

test('a repeated, encoded or malformed query parameter never weakens the check', async (t) => {
  const { url, authorization } = await start(t)
  const answer = async (query: string) =>
    await ask(url, `GET /verify?${query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${authorization}\r\n`)
  for (const query of [
    'scope=todo:read',
    '%73cope=todo:read',
    'scope=todo%3Aread&scope=todo:read',
    'scope=+todo:read%20',
    'aud=http://latchkey.test&aud=http%3A%2F%2Flatchkey.test',
    'acr=1&max_age=300',
    // An empty parameter requires nothing: a gateway whose variable is empty sends this.
    'scope=&role=&aud=&acr=&max_age=',
    '__proto__=x&constructor=y&toString=z',
  ]) {
    t.strictSame(await answer(query), [200], query)
  }
  for (const query of [
    'scope=todo:write',
    'scope=todo:read&scope=todo:write',
    'scope=&scope=todo:write',
    'scope=todo:read%20todo:write',
    'scope=todo:read+todo:write',
    'scope=todo:rea',
    'scope=todo:read,todo:write',
    'scope=TODO:READ',
    'scope=todo:read;role=admin',
    'scope=%zz',
    'scope=__proto__',
    'acr=3',
    'acr=1&acr=x',
    'acr=2.0',
    'max_age=-1',
    'max_age=1e3',
    'max_age=300&max_age=x',
    'role=admin',
    'role=length',
    'aud=http://latchkey.test/',
    'aud=http://latchkey.test%20todo',
    'aud=http://latchkey.test&aud=todo',
    `${'scope=todo:read&'.repeat(300)}scope=todo:write`,
  ]) {
    t.strictSame(await answer(query), [403], query.slice(-60))
  }
})

test('a misspelled parameter is refused: the check never fails open', async (t) => {
  const { url, authorization } = await start(t)
  const answer = async (query: string) =>
    await ask(url, `GET /verify/x?${query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${authorization}\r\n`)
  const names = [
    'roles',
    'Role',
    'ROLE',
    'Roles',
    'role[]',
    'roles[0]',
    'role%5B%5D',
    '+role',
    'role+',
    '%20role',
    '.role',
  ]
  names.push('?role', 'amp;role', 'amp%3Brole', '_role', 'ro-le', 'role:', '%EF%BD%92ole', 'r%6Fles', 'roles%00')
  names.push(
    'scopes',
    'Scope',
    'SCOPES',
    'scope[]',
    'amp;scope',
    'auds',
    'Aud',
    'aud[]',
    'audience',
    'audiences',
    'Audience',
  )
  names.push(
    'amp;audience',
    'Acr',
    'acrs',
    'acr[]',
    'acr_values',
    'amp;acr',
    'maxAge',
    'max-age',
    'MAX_AGE',
    'max_ages',
  )
  for (const name of names) {
    const value = /scope/i.test(name) ? 'todo:read' : 'x'
    t.strictSame(await answer(`${name}=${value}`), [403], name)
    t.strictSame(await answer(`scope=todo:read&${name}=`), [403], `${name}, and one that is right`)
    t.strictSame(await answer(`${'a=b&'.repeat(1500)}${name}`), [403], `${name}, behind 1,500 others`)
  }
  for (const query of [
    'roles',
    'roles=',
    'roles=&roles=admin',
    'role=&roles=',
    'roles=&role=',
    'role&roles',
    'x=1&roles=',
  ]) {
    t.strictSame(await answer(query), [403], query)
  }
  const { text } = await exchange(
    url,
    Buffer.from(`GET /verify?roles=admin HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${authorization}\r\n`),
  )
  t.match(
    text,
    '{"error":"invalid_request","error_description":"the query has a misspelt parameter that looks like role: write role"}',
  )
  t.notMatch(text, /x-auth-/i)
  t.strictSame(
    await ask(url, 'GET /verify?roles=admin HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'),
    [401],
    'who has no token hears of that',
  )
  // A gateway adds the caller's query. Parameters unlike those of /verify belong to the application.
  for (const query of [
    'page=2&q=role',
    'user_role=x',
    'role_id=1',
    'role2=x',
    'scoped=1',
    'audio=1',
    'parole=1',
    'resource=1',
    'x.role=1',
  ]) {
    t.strictSame(await answer(query), [200], query)
  }
})

test('a body that is announced and never sent does not consume a later request', async (t) => {
  const { url, authorization } = await start(t)
  const next = `GET /verify HTTP/1.1\r\nHost: x\r\n${authorization}\r\n`
  const converse = async (head: string) => {
    const { text, isClosed } = await exchange(url, `${head}\r\n${next}`)
    return { statuses: statuses(text), isClosed, text }
  }
  const announced = `POST /verify HTTP/1.1\r\nHost: x\r\n${authorization}`
  for (const more of ['', 'Connection: keep-alive\r\n']) {
    const { text, ...answer } = await converse(`${announced}Content-Length: 9999\r\n${more}`)
    t.strictSame(answer, { statuses: [200], isClosed: true })
    t.match(text, /^connection: close\r$/im)
  }
  const withoutToken = await converse('POST /verify HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n')
  t.match(withoutToken, { statuses: [401], isClosed: true })
  const old = await converse(
    `POST /verify HTTP/1.0\r\nConnection: keep-alive\r\n${authorization}Content-Length: 9999\r\n`,
  )
  t.match(old, { statuses: [200], isClosed: true })
  // Node may see that the next request is not a chunk before it writes the answer. Then the answer is this error.
  const chunked = await converse(`${announced}Transfer-Encoding: chunked\r\n`)
  t.match(chunked, { statuses: { length: 1 }, isClosed: true })
  const waiting = await converse(`${announced}Content-Length: 9999\r\nExpect: 100-continue\r\n`)
  t.match(waiting, { statuses: [100, 200], isClosed: true })
})

test('a body that is sent is not read, and its answer arrives', async (t) => {
  const { url, authorization } = await start(t)
  const { hostname, port } = new URL(url)
  const length = 5_000_000
  for (let round = 0; round < 5; round++) {
    // lua-resty-http also writes everything before it reads.
    const socket = connect(Number(port), hostname).pause()
    socket.write(`POST /verify HTTP/1.1\r\nHost: x\r\n${authorization}Content-Length: ${length}\r\n\r\n`)
    await new Promise<void>((resolve, reject) => {
      socket.write(Buffer.alloc(length), (error) => (error ? reject(error) : resolve()))
    })
    let answer = ''
    for await (const chunk of socket) answer += chunk
    t.match(answer, /^HTTP\/1\.1 200 /)
  }
})
