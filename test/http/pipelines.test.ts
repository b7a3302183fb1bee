import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import t, { type Test, test } from 'tap'
import { eventually } from '../support/eventually.js'
import { makeCertificates } from '../support/servers/certificates.js'
import {
  environment,
  PASSWORD,
  type SpawnedService,
  spawnService,
  startService,
  startServiceWith,
  temporaryFolder,
} from '../support/service.js'
import { isAll } from '../support/size.js'
import { converse, exchange, parseAnswer } from '../support/socket.js'

const COUNT = 10_000
/** How long floods may take until the service has closed all of them. They and their service share two cores. */
const FLOOD_LIMIT = 240_000
const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`
const SMALL = get('/.well-known/jwks.json')
const login = (headers: string) => {
  const body = JSON.stringify({ username: 'ada', password: PASSWORD })
  return `POST /login HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n${headers}\r\n${body}`
}

test('H9: 10,000 pipelined requests are answered in order with bounded memory, also for a caller that does not read', async (t) => {
  const service = await spawnService(t, await environment(t, 'sqlite', { LOG_LEVEL: 'error' }))
  const memory = () => residentMemory(service)
  // The first round does not count: Node compiles the code and grows the heap.
  await pipeline(service.api.url, 'warm', 0)
  const before = memory()
  for (const [name, pause] of [
    ['read', 0],
    ['unread', 1500],
  ] as const) {
    let unread = 0
    const ids = await pipeline(service.api.url, name, pause, () => {
      unread = memory() - before
    })
    t.strictSame(ids, idsOf(name), 'each in its turn')
    t.ok(unread <= 64, `${Math.round(unread)} MB more before anything was read`)
    t.ok(memory() - before <= 64, `${Math.round(memory() - before)} MB more afterwards`)
  }
})

/** The resident memory of the process in MB. */
const residentMemory = (service: SpawnedService) =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${service.process.pid}/status`, 'utf8'))?.[1]) / 1024

/** Opens a connection that never reads. */
function open(t: Test, url: string): Socket {
  const { protocol, hostname, port } = new URL(url)
  const to = { host: hostname, port: Number(port), rejectUnauthorized: false }
  const socket = protocol === 'https:' ? connectTls(to) : connect(to)
  t.teardown(() => socket.destroy())
  return socket.pause().on('error', () => {})
}

/** Sends requests forever on a connection, and never reads an answer. */
function flood(t: Test, url: string, request: string): Socket {
  const socket = open(t, url)
  writeForever(socket, request)
  return socket
}

function writeForever(socket: Socket, request: string): void {
  const requests = request.repeat(Math.ceil(65_536 / request.length))
  const write = () =>
    void (socket.destroyed || (socket.write(requests) ? setImmediate(write) : socket.once('drain', write)))
  write()
}

const FLOODS = [
  ['a large document', 4, '/openapi.json', 'service'],
  ['small answers', 200, '/.well-known/jwks.json', 'service'],
  ['an address that is not there', 40, '/nope', 'service'],
  ['an address that cannot be read', 40, '/%zz', 'service'],
  ['the metrics', 40, '/metrics', 'management'],
] as const

// These tests wait for the timeouts of the service, so they run side by side.
t.jobs = FLOODS.length + 2

for (const [what, count, path, port] of isAll ? FLOODS : []) {
  test(`endless requests for ${what} with unread answers take bounded memory, and the service closes the connections`, {
    buffered: true,
  }, async (t) => {
    // Past this heap limit the process would end. Without the limit, uncollected garbage would count too.
    const options = { DOCS: 'on', LOG_LEVEL: 'error', NODE_OPTIONS: '--max-old-space-size=160' }
    const service = await spawnService(t, await environment(t, 'sqlite', options))
    const before = residentMemory(service)
    const url = port === 'service' ? service.api.url : service.managementUrl
    const sockets = Array.from({ length: count }, () => flood(t, url, get(path)))
    let peak = 0
    await eventually(() => {
      peak = Math.max(peak, residentMemory(service))
      return sockets.every(({ destroyed }) => destroyed)
    }, FLOOD_LIMIT)
    t.ok(peak - before <= 128, `${Math.round(peak - before)} MB more`)
    t.equal((await service.api.signUp('ada', PASSWORD)).status, 201, 'others are served')
  })
}

test('callers over TLS that read nothing are cut off, and the service goes on', { buffered: true }, async (t) => {
  const { certificate, key } = makeCertificates(temporaryFolder(t))
  const env = await environment(t, 'sqlite', { DOCS: 'on', TLS_CERT_FILE: certificate, TLS_KEY_FILE: key })
  const { api, audited } = await startServiceWith(t, env)
  const sockets = Array.from({ length: 16 }, () => flood(t, api.url, get('/openapi.json')))
  // Some are closed because too many requests wait, the others at the send timeout.
  const isClosed = ({ destroyed }: Socket) => destroyed
  await eventually(() => (isAll ? sockets.every(isClosed) : sockets.some(isClosed)), FLOOD_LIMIT)
  open(t, api.url).write(login('Host: x\r\n'))
  await eventually(() => audited('login.refused').length > 0)
})

for (const goesOn of isAll ? [true, false] : []) {
  test(`a caller that ${goesOn ? 'sends on' : 'does nothing'} after a 408 is reset at the timeout`, {
    buffered: true,
  }, async (t) => {
    const { api } = await startService(t, 'sqlite')
    const socket = open(t, api.url)
    socket.write(SMALL.repeat(3) + SMALL.slice(0, 10))
    await eventually(() => stateOf(socket) === FIN_WAIT_2)
    if (goesOn) {
      socket.write(SMALL.slice(10))
      writeForever(socket, SMALL)
    }
    await eventually(() => stateOf(socket) !== FIN_WAIT_2)
    t.equal(stateOf(socket), undefined)
    t.ok(socket.bytesWritten < 32 * 2 ** 20, `${socket.bytesWritten} bytes were taken`)
  })
}

/** The service sent its last answer, and waits until the caller closes. */
const FIN_WAIT_2 = '05'

/** The state of the service's end of a connection in the kernel. */
function stateOf({ remotePort, localPort }: Socket): string | undefined {
  const address = (port?: number) => `0100007F:${port?.toString(16).padStart(4, '0').toUpperCase()}`
  const [, state] =
    new RegExp(`${address(remotePort)} ${address(localPort)} (..)`).exec(readFileSync('/proc/net/tcp', 'utf8')) ?? []
  return state
}

test('a caller that reads slowly gets all answers, also to pipelined requests', { buffered: true }, async (t) => {
  const service = await spawnService(t, await environment(t, 'sqlite', { LOG_LEVEL: 'error', DOCS: 'on' }))
  const { hostname, port } = new URL(service.api.url)
  const socket = connect(Number(port), hostname)
  t.teardown(() => socket.destroy())
  // More bytes than the system buffers hold, and more requests than one chunk: the last request of a chunk is cut in
  // two.
  const count = 1600
  socket.write(SMALL.repeat(count - 40))
  socket.write(get('/openapi.json').repeat(40))
  const BEGIN = 'HTTP/1.1 200 OK'
  let answers = 0
  let bytes = 0
  // The status line of an answer may be cut in two.
  let rest = ''
  let isOver = false
  socket.on('close', () => {
    isOver = true
  })
  socket.on('data', (chunk) => {
    bytes += chunk.length
    const text = rest + String(chunk)
    answers += text.split(BEGIN).length - 1
    rest = text.slice(1 - BEGIN.length)
  })
  for (let i = 0; i < 8; i += 1) {
    // Longer than the timeout of a request.
    socket.pause()
    await sleep(1000)
    socket.resume()
    await sleep(10)
  }
  await eventually(() => isOver || answers === count)
  t.equal(isOver, false)
  t.equal(answers, count)
  t.ok(bytes > 5_000_000, `${bytes} bytes`)
})

test('a request behind an answer that closes the connection is never started, in the same segment or in the next', async (t) => {
  const { api, audited } = await startService(t, 'sqlite')
  await api.signUp('ada', PASSWORD)
  const [refused, behind] = [login('Host: x\r\nHost: y\r\n'), login('Host: x\r\n')]
  for (const segments of [[refused + behind], ...Array.from({ length: 20 }, () => [refused, behind])]) {
    const { text, isClosed } = await converse(api.url, (write) => segments.forEach(write))
    t.equal(isClosed, true)
    t.equal(parseAnswer(text).status, 400)
  }
  t.strictSame(audited('login.accepted'), [])
  t.equal((await api.login('ada', PASSWORD)).status, 200, 'the request is good')
})

test('pipelined requests with bodies are answered in order, each with its own body', async (t) => {
  const { api } = await startService(t, 'sqlite')
  const requests = Array.from({ length: 50 }, (_, i) => {
    const body = i % 2 ? JSON.stringify({ username: `u${i}` }) : '{}'
    const framing =
      i % 3
        ? `Content-Length: ${body.length}\r\n\r\n${body}`
        : `Transfer-Encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`
    return `POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n${framing}`
  }).join('')
  const { text } = await exchange(api.url, `${requests}GET /nope HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`)
  const missing = [...text.matchAll(/"error_description":"(\w+) is missing"/g)].map(([, name]) => name)
  t.strictSame(
    missing,
    Array.from({ length: 50 }, (_, i) => (i % 2 ? 'password' : 'username')),
  )
  t.match(text.slice(text.lastIndexOf('HTTP/1.1 ')), /^HTTP\/1\.1 404/)
})

const idsOf = (name: string) => Array.from({ length: COUNT }, (_, i) => `${name}-${i}`)

/** Sends all requests at once and starts to read after a pause. Returns the request ids of the answers in order. */
function pipeline(url: string, name: string, pause: number, onRead = () => {}): Promise<string[]> {
  const { hostname, port } = new URL(url)
  const request = (id: string) => `GET /.well-known/jwks.json HTTP/1.1\r\nHost: x\r\nX-Request-Id: ${id}\r\n\r\n`
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname)
    const ids: string[] = []
    let rest = ''
    socket.on('error', reject)
    socket.on('data', (chunk) => {
      const lines = (rest + chunk).split('\r\n')
      rest = lines.pop() as string
      for (const line of lines) if (line.startsWith('x-request-id: ')) ids.push(line.slice('x-request-id: '.length))
      if (ids.length < COUNT) return
      socket.destroy()
      resolve(ids)
    })
    socket.pause()
    socket.write(idsOf(name).map(request).join(''))
    setTimeout(() => {
      onRead()
      socket.resume()
    }, pause)
  })
}

test('an unknown expectation gets 417 in the form of every refusal; 100-continue is met', async (t) => {
  const { api } = await startService(t, 'sqlite')
  const post = (expect: string, body = '') =>
    `POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\nExpect: ${expect}\r\n\r\n${body}`
  const refused = await exchange(api.url, post('the-unexpected', '{}'))
  const { status, headers, body } = parseAnswer(refused.text)
  t.match({ status, type: headers['content-type'] }, { status: 417, type: 'application/json; charset=utf-8' })
  t.match(body, '"error":"invalid_request"')
  t.equal(refused.isClosed, true)
  const met = await exchange(api.url, post('100-continue', '{}'), { until: 'answered' })
  t.match(met.text, /^HTTP\/1\.1 100 Continue/)
})
