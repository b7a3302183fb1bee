import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { request } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Test } from 'tap'
import type { Sent } from './send.js'

export interface WebSocketAnswer {
  /** 101 if the WebSocket is open. */
  status: number
  /** Sends bytes, and returns what comes back. Gateways do not read the frames of a WebSocket. */
  echo(text: string): Promise<string>
}

/** Milliseconds. A gateway that loses a WebSocket leaves it silent. */
const PATIENCE = 20_000

/** Asks for a WebSocket (RFC 6455 §4.1). The end of the test closes it. */
export async function openWebSocket(t: Test, url: string, path: string, sent: Sent = {}): Promise<WebSocketAnswer> {
  const { hostname, port } = new URL(url)
  const headers: Record<string, string | number | string[]> = {
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': randomBytes(16).toString('base64'),
    ...sent.headers,
  }
  if (sent.bearer !== undefined) headers.authorization = `Bearer ${sent.bearer}`
  const outgoing = request({ hostname, port, path, headers, agent: false, signal: AbortSignal.timeout(PATIENCE) })
  const opened = new Promise<{ status: number; socket?: Duplex }>((resolve, reject) => {
    outgoing.on('upgrade', ({ statusCode }, socket) => resolve({ status: statusCode ?? 0, socket }))
    outgoing.on('response', (answer) => {
      answer.resume()
      resolve({ status: answer.statusCode ?? 0 })
    })
    outgoing.on('error', reject)
  })
  outgoing.end()
  const { status, socket } = await opened
  socket?.on('error', () => {})
  t.teardown(() => void socket?.destroy())
  return {
    status,
    async echo(text) {
      if (!socket) return 'not open'
      const answer = once(socket, 'data', { signal: AbortSignal.timeout(PATIENCE) })
      socket.write(text)
      return String((await answer)[0])
    },
  }
}
