import { readFileSync } from 'node:fs'
import { createServer, type RequestListener, type Server } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { fetchJson, getJsonTrusting } from '@latchkey/verifier/bounded-fetch'
import { systemClock } from '@latchkey/verifier/clock'
import { type Test, test } from 'tap'
import { listen } from '../support/key-server.js'
import { makeCertificates } from '../support/servers/certificates.js'
import { temporaryFolder } from '../support/service.js'
import { resultOrLate } from '../support/verifier-setup.js'

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc')

/** Milliseconds. A request that ignores its timeout would take five minutes. */
const PATIENCE = 5000
const limits = { timeout: 500, size: 10_000 }
const outcomes = [() => 'answered', () => 'given up'] as const
const stops: Record<string, RequestListener> = {
  'before its headers': () => {},
  'after its headers': (_request, response) => response.flushHeaders(),
  'within its body': (_request, response) => void response.write('{'),
}

for (const [place, listener] of Object.entries(stops)) {
  test(`S3: a server that stops ${place} is given up after the timeout, also after a garbage collection`, async (t) => {
    const { certificate, key, ca } = makeCertificates(temporaryFolder(t))
    const plain = await start(t, createServer(listener))
    const tls = await start(t, createHttpsServer({ cert: readFileSync(certificate), key: readFileSync(key) }, listener))
    const collect = setInterval(collectGarbage, 50)
    t.teardown(() => clearInterval(collect))

    const trusted = { headers: {}, ca: readFileSync(ca, 'utf8') }
    const ended = (request: Promise<unknown>) => resultOrLate(request.then(...outcomes), PATIENCE)
    const [overFetch, overHttps] = await Promise.all([
      ended(fetchJson(`http://127.0.0.1:${plain.port}/`, () => ({}), limits, systemClock)),
      ended(getJsonTrusting(`https://127.0.0.1:${tls.port}/`, trusted, limits, systemClock)),
    ])
    t.equal(overFetch, 'given up', 'fetch')
    t.equal(overHttps, 'given up', 'node:https')
    // The connections do not stay open for a server that sends nothing.
    const closed = Promise.all([plain.closed(), tls.closed()]).then(() => 'closed')
    t.equal(await resultOrLate(closed, PATIENCE), 'closed')
  })
}

/** Starts the server. `closed` waits until each connection so far has closed. */
async function start(t: Test, server: Server): Promise<{ port: number; closed(): Promise<unknown> }> {
  const sockets: Promise<unknown>[] = []
  server.on('connection', (socket) => {
    // A reset is a close too. `once` would reject at its error.
    socket.on('error', () => {})
    sockets.push(new Promise((resolve) => socket.on('close', resolve)))
  })
  return { port: await listen(t, server), closed: () => Promise.all(sockets) }
}
