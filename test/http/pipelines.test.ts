import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { test } from 'tap'
import { environment, spawnService } from '../service.js'
import { exchange, parseAnswer } from './socket.js'

const COUNT = 10_000

test('H9: 10,000 pipelined requests are answered in order, with bounded memory, also to a caller who does not read', async (t) => {
  const service = await spawnService(t, await environment(t, 'sqlite', { LOG_LEVEL: 'error' }))
  const memory = () =>
    Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${service.process.pid}/status`, 'utf8'))?.[1]) / 1024
  // Its code is compiled, and its heap has grown, by a round that does not count.
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

const idsOf = (name: string) => Array.from({ length: COUNT }, (_, i) => `${name}-${i}`)

/** Sends all requests at once and begins to read after a pause; answers with the ids of the answers, as they came. */
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

test('an expectation that is none of ours is 417, in the form of every refusal; 100-continue is met', async (t) => {
  const service = await spawnService(t, await environment(t, 'sqlite', { LOG_LEVEL: 'error' }))
  const post = (expect: string, body = '') =>
    `POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\nExpect: ${expect}\r\n\r\n${body}`
  const refused = await exchange(service.api.url, post('the-unexpected', '{}'))
  const { status, headers, body } = parseAnswer(refused.text)
  t.match({ status, type: headers['content-type'] }, { status: 417, type: 'application/json; charset=utf-8' })
  t.match(body, '"error":"invalid_request"')
  t.equal(refused.isClosed, true)
  const met = await exchange(service.api.url, post('100-continue', '{}'), { until: 'answered' })
  t.match(met.text, /^HTTP\/1\.1 100 Continue/)
})
