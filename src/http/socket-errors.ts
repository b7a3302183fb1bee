import type { ServerResponse } from 'node:http'
import { type Pipelines, resetConnection, type ServerSocket } from './pipelines.js'

/** A caller that reads nothing of its answer for this time is cut off. Milliseconds. */
export const SEND_TIMEOUT = 10_000

// These answers are written without Fastify: Node's own answers have no body.

/** Answers 417 to an `Expect` other than `100-continue` (RFC 9110 §10.1.1). */
export function refuseExpectation(response: ServerResponse): void {
  const body = errorBody('Expect must be 100-continue')
  response
    .writeHead(417, {
      'content-type': 'application/json; charset=utf-8',
      'content-length': body.length,
      connection: 'close',
    })
    .end(body)
}

/**
 * Answers what Node's HTTP parser cannot read, and requests that arrive too slowly. No request object exists yet, so the
 * answer goes to the socket.
 *
 * @param countUnrouted is called with the status of the answer
 */
export function refuseUnreadable(
  error: Error & { code?: string },
  socket: ServerSocket,
  pipelines: Pipelines,
  countUnrouted: (status: number) => void,
): void {
  // The service stopped reading in the middle of this request. The caller is not slow.
  if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT' && pipelines.isHeld(socket)) return
  // The caller got 408 before, and did not close its connection.
  if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT' && socket.writableEnded) return void resetConnection(socket)
  // Without a parser, the TLS handshake is not over: an answer would wait for it forever.
  if (error.code === 'ECONNRESET' || !socket.writable || !socket.parser) return void socket.destroy()
  // The headers were refused already, and now the body cannot be read: one request gets one answer.
  if (socket._httpMessage?.headersSent) return void socket.destroySoon()
  const status = statusOf(error.code)
  countUnrouted(Number.parseInt(status, 10))
  const body = errorBody('the request cannot be read')
  // Until now the timeout may be the longer one between two requests.
  socket.setTimeout(SEND_TIMEOUT)
  socket.end(
    `HTTP/1.1 ${status}\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: ${body.length}\r\n` +
      `Connection: close\r\n\r\n${body}`,
  )
}

function statusOf(code: string | undefined): string {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return '431 Request Header Fields Too Large'
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return '408 Request Timeout'
    default:
      return '400 Bad Request'
  }
}

/** Closes a connection on which nothing has moved for the send timeout, unless its answer has not begun yet. */
export function closeUnlessAtWork(socket: ServerSocket): void {
  const { _httpMessage: response } = socket
  // The caller does not read its answer, or does not close its connection after the last answer.
  if (socket.writableEnded || response?.headersSent || (response && socket.writableLength > 0)) resetConnection(socket)
  else if (!response) socket.destroy()
}

function errorBody(description: string): string {
  return JSON.stringify({ error: 'invalid_request', error_description: description })
}
