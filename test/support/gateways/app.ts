import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Test } from 'tap'
import { listen, listener } from '../key-server.js'

/** A request as the application behind the gateway received it. */
export interface ReceivedRequest {
  method: string
  url: string
  /** Unchanged: names in their own case, repeated headers as separate entries. */
  headers: [name: string, value: string][]
  length: number
  sha256: string
}

export interface TestApp {
  /** `127.0.0.1:PORT` */
  address: string
  /** Every request so far. */
  arrivals: ReceivedRequest[]
}

/**
 * The application that a gateway protects. It accepts every request, and answers with the status in `X-Answer`, or 200. It opens
 * every WebSocket, and sends back what it receives.
 */
export async function startApp(t: Test): Promise<TestApp> {
  const arrivals: ReceivedRequest[] = []
  const answer = listener(async (request, response) => {
    const body = createHash('sha256')
    let length = 0
    for await (const chunk of request) {
      body.update(chunk)
      length += chunk.length
    }
    arrivals.push({ ...describe(request), length, sha256: body.digest('hex') })
    response.writeHead(Number(request.headers['x-answer'] ?? 200)).end()
  })
  const server = createServer({ maxHeaderSize: 64 * 1024 }, answer)
  const sockets = new Set<Duplex>()
  server.on('upgrade', (request, socket) => {
    arrivals.push({ ...describe(request), length: 0, sha256: '' })
    sockets.add(socket.on('error', () => {}))
    // RFC 6455 §1.3
    const accept = createHash('sha1').update(
      `${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`,
    )
    const lines = ['Upgrade: websocket', 'Connection: Upgrade', `Sec-WebSocket-Accept: ${accept.digest('base64')}`]
    socket.write(`HTTP/1.1 101 Switching Protocols\r\n${lines.join('\r\n')}\r\n\r\n`)
    socket.pipe(socket)
  })
  const port = await listen(t, server)
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
  })
  return { address: `127.0.0.1:${port}`, arrivals }
}

function describe({ method = '', url = '', rawHeaders }: IncomingMessage): Omit<ReceivedRequest, 'length' | 'sha256'> {
  const headers = rawHeaders.flatMap((name, index, all): [string, string][] =>
    index % 2 === 0 ? [[name, all[index + 1] ?? '']] : [],
  )
  return { method, url, headers }
}

/** The values of every header that an application may read under this name. CGI and its successors read `_` as `-`. */
export function headerValues(name: string, { headers }: ReceivedRequest): string[] {
  return headers.filter(([each]) => each.toLowerCase().replaceAll('_', '-') === name).map(([, value]) => value)
}
