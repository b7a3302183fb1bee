import { connect, type Socket } from 'node:net'
import { createInterface } from 'node:readline'

/**
 * Many followers of `GET /revocations` in one process, each with one connection. A follower asks again 250 ms after it asked
 * before. Each line of input is answered by the number of answers since the line before, and how many of them were not 200.
 */
const { PORT = '', BASIC_CREDENTIALS = '', FOLLOWERS = '' } = process.env
/** Milliseconds from one request of a follower to its next. */
const INTERVAL = 250
let [answers, failed] = [0, 0]

function follow(socket: Socket): void {
  let text = ''
  let cursor: string | undefined
  let askedAt = 0
  const ask = () => {
    askedAt = performance.now()
    const after = cursor === undefined ? '' : `&after=${cursor}`
    socket.write(
      `GET /revocations?wait=${INTERVAL}${after} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic ${BASIC_CREDENTIALS}\r\n\r\n`,
    )
  }
  socket.setEncoding('latin1').on('data', (chunk: string) => {
    text += chunk
    const head = text.indexOf('\r\n\r\n')
    if (head < 0) return
    const length = Number(/content-length: (\d+)/i.exec(text)?.[1])
    if (text.length < head + 4 + length) return
    answers += 1
    if (!text.startsWith('HTTP/1.1 200')) failed += 1
    cursor = /"cursor":"([^"]+)"/.exec(text)?.[1] ?? cursor
    text = ''
    setTimeout(ask, Math.max(0, INTERVAL - (performance.now() - askedAt)))
  })
  // The followers of a real fleet do not ask in the same moment.
  setTimeout(ask, Math.random() * INTERVAL)
}

for (let i = 0; i < Number(FOLLOWERS); i += 1) {
  const socket = connect(Number(PORT), '127.0.0.1')
  socket.once('connect', () => follow(socket))
}
for await (const _ of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify({ answers, failed })}\n`)
  ;[answers, failed] = [0, 0]
}
