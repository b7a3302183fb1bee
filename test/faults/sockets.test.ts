import t, { test } from 'tap'
import { makeCertificates } from '../support/servers/certificates.js'
import { environment, startService, startServiceWith, temporaryFolder } from '../support/service.js'
import { converse, exchange, parseAnswer } from '../support/socket.js'
import { scaledLimit } from '../support/time-limits.js'

const FORM = 'Content-Type: application/x-www-form-urlencoded\r\n'

// The tests wait for the timeouts of the service, so they run side by side.
t.jobs = 2

test('H7: slow headers and slow bodies are cut off within 10 s', { buffered: true }, async (t) => {
  const { api } = await startService(t, 'sqlite')
  const patience = scaledLimit(10_000)
  /** Sends the beginning, then one byte of the rest twice a second. */
  const drip = (begin: string, rest: string) =>
    converse(
      api.url,
      (write) => {
        write(begin)
        let sent = 0
        const timer = setInterval(() => write(rest.charAt(sent++ % rest.length)), 500)
        return () => clearInterval(timer)
      },
      patience,
    )
  const slow = await Promise.all([
    drip('GET /sessions HTTP/1.1\r\nHost: x\r\nX-Slow: ', 'a'),
    drip('', 'GET /sessions HTTP/1.1'),
    drip(`POST /login HTTP/1.1\r\nHost: x\r\n${FORM}Content-Length: 1000\r\n\r\n`, 'a'),
    drip(`POST /login HTTP/1.1\r\nHost: x\r\n${FORM}Transfer-Encoding: chunked\r\n\r\n`, '1\r\na\r\n'),
    exchange(api.url, 'POST /login HTTP/1.1\r\nHost: x\r\n', { patience }),
  ])
  for (const { text, isClosed } of slow) {
    t.equal(isClosed, true)
    t.equal(parseAnswer(text).status, 408)
  }
})

test('H7: a connection whose TLS handshake fails or never ends is closed within 10 s', {
  buffered: true,
}, async (t) => {
  const { certificate, key } = makeCertificates(temporaryFolder(t))
  const env = await environment(t, 'sqlite', { TLS_CERT_FILE: certificate, TLS_KEY_FILE: key })
  const { api } = await startServiceWith(t, env)
  const patience = scaledLimit(10_000)
  const clientHello = Buffer.from('1603010200010001fc0303', 'hex')
  for (const { isClosed } of await Promise.all(
    ['', clientHello, 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'].map((bytes) => exchange(api.url, bytes, { patience })),
  ))
    t.equal(isClosed, true)
})
