import { once } from 'node:events'
import { connect } from 'node:net'
import { type Test, test } from 'tap'
import { PASSWORD, startService } from '../service.js'

async function start(t: Test) {
  const { api } = await startService(t, 'sqlite')
  await api.signUp('ada', PASSWORD)
  const { access_token: token } = await api.tokens('ada', PASSWORD, { scope: 'todo:read' })
  return { url: api.url, token, authorization: `Authorization: Bearer ${token}\r\n` }
}

/** Everything that comes back for these bytes until the service closes, or until it has been silent for a while. */
async function raw(url: string, ...parts: string[]): Promise<{ statuses: number[]; text: string; isClosed: boolean }> {
  const { hostname, port } = new URL(url)
  const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true })
  let text = ''
  socket.on('data', (data) => (text += data)).on('error', () => {})
  socket.setTimeout(1000, () => socket.destroy())
  const ended = once(socket, 'end').then(
    () => true,
    () => false,
  )
  for (const part of parts) socket.write(part, 'latin1')
  const isClosed = await Promise.race([ended, once(socket, 'close').then(() => false)])
  socket.destroy()
  return { statuses: [...text.matchAll(/^HTTP\/1\.1 (\d+)/gm)].map(([, status]) => Number(status)), text, isClosed }
}

test('every address but /verify and what is below it is nobody’s permission', async (t) => {
  const { url, authorization } = await start(t)
  const admitting = ['/verify', '/verify/', '/verify/x', '/verify/../introspect', '/%76erify', '/verify?', '/verify//x']
  admitting.push(`/verify/${'x'.repeat(5000)}`, 'http://elsewhere.test/verify', '/verify/%00%0d%0aX-Auth-Sub:%20root')
  for (const target of admitting) {
    const { statuses } = await raw(url, `GET ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`)
    t.strictSame(statuses, [401], `without a token: ${target.slice(0, 60)}`)
    const live = await raw(url, `GET ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${authorization}\r\n`)
    t.strictSame(live.statuses, [200], target.slice(0, 60))
    t.equal([...live.text.matchAll(/^x-auth-sub:/gim)].length, 1)
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
    const { statuses } = await raw(
      url,
      `GET ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${authorization}\r\n`,
    )
    t.match(String(statuses), /^40[04]$/, target)
  }
})

test('J37: a token is given once, in one header, after one space', async (t) => {
  const { url, token, authorization } = await start(t)
  const ask = async (headers: string) =>
    (await raw(url, `GET /verify HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${headers}\r\n`)).statuses
  for (const good of [`AUTHORIZATION: bearer ${token}`, `Authorization:\tBEARER ${token} \t`]) {
    t.strictSame(await ask(`${good}\r\n`), [200], good.slice(0, 30))
  }
  for (const bad of [
    `${authorization}${authorization}`,
    `Authorization: Bearer x\r\n${authorization}`,
    `${authorization}authorization: Basic eDp5\r\n`,
    `${authorization}Authorization:\r\n`,
    `Authorization: Bearer  ${token}\r\n`,
    `Authorization: Bearer ${token}, Bearer ${token}\r\n`,
    `Authorization: Bearer\t${token}\r\n`,
    `Authorization: Bearer "${token}"\r\n`,
    `Authorization: ${token}\r\n`,
    `Proxy-Authorization: Bearer ${token}\r\n`,
    `X-Authorization: Bearer ${token}\r\n`,
    `Authorization_: Bearer ${token}\r\n`,
    `Cookie: Authorization=Bearer ${token}\r\n`,
  ]) {
    t.strictSame(await ask(bad), [401], JSON.stringify(bad.replaceAll(token, 'T')))
  }
})

test('H10: requests that two readers would read in two ways are refused, and their connection closed', async (t) => {
  const { url, authorization, token } = await start(t)
  const next = `GET /verify HTTP/1.1\r\nHost: x\r\n${authorization}\r\n`
  for (const [what, request] of Object.entries({
    'two lengths': `POST /verify HTTP/1.1\r\nHost: x\r\n${authorization}Content-Length: 0\r\nContent-Length: 5\r\n\r\n`,
    'a length and chunks': `POST /verify HTTP/1.1\r\nHost: x\r\n${authorization}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    'chunks, but not last': `POST /verify HTTP/1.1\r\nHost: x\r\n${authorization}Transfer-Encoding: chunked, identity\r\n\r\n`,
    'a negative length': `POST /verify HTTP/1.1\r\nHost: x\r\n${authorization}Content-Length: -1\r\n\r\n`,
    'a folded header': `GET /verify HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer\r\n ${token}\r\n\r\n`,
    'a space before the colon': `GET /verify HTTP/1.1\r\nHost: x\r\nAuthorization : Bearer ${token}\r\n\r\n`,
    'a NUL': `GET /verify HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\0\r\n\r\n`,
    'bare line feeds': `GET /verify HTTP/1.1\nHost: x\nAuthorization: Bearer ${token}\n\n`,
    'a bare carriage return': `GET /verify HTTP/1.1\r\nHost: x\r\nX: a\rAuthorization: Bearer ${token}\r\n\r\n`,
    'HTTP/2 in clear': 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  })) {
    const { statuses, isClosed } = await raw(url, request, next)
    t.strictSame([statuses, isClosed], [[400], true], what)
  }
})

test('H8: headers over 8 KB are refused, and up to there they are none of our business', async (t) => {
  const { url, authorization } = await start(t)
  for (const [size, expected] of [
    [7000, 200],
    [9000, 431],
    [200_000, 431],
  ] as const) {
    const { statuses } = await raw(
      url,
      `GET /verify HTTP/1.1\r\nHost: x\r\n${authorization}Connection: close\r\nX: ${'x'.repeat(size)}\r\n\r\n`,
    )
    t.strictSame(statuses, [expected], `${size}`)
  }
})

test('a query repeated, encoded or odd never asks for less than it says', async (t) => {
  const { url, authorization } = await start(t)
  const ask = async (query: string) =>
    (await raw(url, `GET /verify?${query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${authorization}\r\n`))
      .statuses[0]
  for (const query of [
    'scope=todo:read',
    '%73cope=todo:read',
    'scope=todo%3Aread&scope=todo:read',
    'scope=+todo:read%20',
    'aud=http://latchkey.test&aud=http%3A%2F%2Flatchkey.test',
    // Nothing asked: a gateway that asks by an empty variable asks for nothing.
    'scope=&role=&aud=',
    '__proto__=x&constructor=y&toString=z',
  ]) {
    t.equal(await ask(query), 200, query)
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
    'role=admin',
    'role=length',
    'aud=http://latchkey.test/',
    'aud=http://latchkey.test%20todo',
    'aud=http://latchkey.test&aud=todo',
    `${'scope=todo:read&'.repeat(300)}scope=todo:write`,
  ]) {
    t.equal(await ask(query), 403, query.slice(-60))
  }
})

test('a body that is announced and never sent takes no later request with it', async (t) => {
  const { url, authorization } = await start(t)
  const announced = (rest: string) => `POST /verify HTTP/1.1\r\nHost: x\r\n${authorization}${rest}\r\n\r\n`
  const next = `GET /verify HTTP/1.1\r\nHost: x\r\n${authorization}\r\n`
  for (const rest of ['Content-Length: 9999', 'Content-Length: 9999\r\nConnection: keep-alive']) {
    const { statuses, text, isClosed } = await raw(url, announced(rest), next)
    t.strictSame([statuses, isClosed], [[200], true], rest)
    t.match(text, /^connection: close\r$/im)
  }
  // What is no chunk may be seen before the answer is written: then that is the answer.
  const chunked = await raw(url, announced('Transfer-Encoding: chunked'), next)
  t.match(chunked, { statuses: { length: 1 }, isClosed: true })
  const refused = await raw(url, 'POST /verify HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\n', next)
  t.strictSame([refused.statuses, refused.isClosed], [[401], true])
  const old = await raw(
    url,
    `POST /verify HTTP/1.0\r\nConnection: keep-alive\r\n${authorization}Content-Length: 9\r\n\r\n`,
  )
  t.strictSame([old.statuses, old.isClosed], [[200], true])
  const waiting = await raw(url, announced('Content-Length: 100\r\nExpect: 100-continue'))
  t.strictSame(waiting.statuses.at(-1), 200)
})

test('a body that is sent is not read, and the answer to it arrives', async (t) => {
  const { url, token } = await start(t)
  const { hostname, port } = new URL(url)
  const length = 5_000_000
  for (let round = 0; round < 5; round++) {
    // As lua-resty-http does: all is written before anything is read.
    const socket = connect(Number(port), hostname).pause()
    socket.write(
      `POST /verify HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\nContent-Length: ${length}\r\n\r\n`,
    )
    await new Promise<void>((resolve, reject) => {
      socket.write(Buffer.alloc(length), (error) => (error ? reject(error) : resolve()))
    })
    let answer = ''
    for await (const chunk of socket) answer += chunk
    t.match(answer, /^HTTP\/1\.1 200 /)
  }
})
