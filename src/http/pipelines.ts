import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/** How many requests of all connections may wait. One chunk of 64 KiB holds at most 2,621 requests. */
const MAX_WAITING = 4096
/** How many requests may wait on one connection, even if others have reached `MAX_WAITING`. */
const ALWAYS_ALLOWED = 8

export interface Pipelines {
  /**
   * Calls `begin` when the answers before this one have been sent. Never calls `begin` if the connection closes first.
   * Use this for requests whose response has no socket yet, because an earlier response has it.
   */
  takeTurn(request: IncomingMessage, response: ServerResponse, begin: () => void): void
  /** Whether requests of this connection wait for their turn. */
  isHeld(socket: Socket): boolean
  /** Stops reading a connection that its last answer closes. Requests behind this answer never begin. */
  stopReading(socket: Socket): void
}

/** A socket with the members that Node's servers add. Node has no public names for them. */
export type ServerSocket = Socket & {
  /** Whether the HTTP server paused reading. */
  _paused?: boolean
  /** The response that is sent on the connection now. */
  _httpMessage?: ServerResponse | null
  /** What reads requests from the connection. A TLS connection has none before its handshake. */
  parser?: { onIncoming: (request: IncomingMessage) => number } | null
  /** The TCP connection below a TLS connection. Otherwise null. */
  _parent?: Socket | null
}

/**
 * Handles the pipelined requests of a connection one after the other: a request begins when the previous answer has been
 * sent. So a caller that never reads holds one answer in memory. A request after an answer with `Connection: close` never
 * begins (RFC 9112 §9.3.2, §9.6).
 *
 * Node parses a whole chunk of 64 KiB at once, and stops reading only after it has seen the answers. One chunk of
 * `GET /openapi.json` requests became 1,500 answers of 150 KB.
 */
export function createPipelines(): Pipelines {
  const waitingOf = new WeakMap<Socket, { requests: number }>()
  let totalWaiting = 0

  return {
    takeTurn({ socket }, response, begin) {
      // An earlier request of the same chunk has closed the connection.
      if (socket.destroyed) return
      let waiting = waitingOf.get(socket)
      if (!waiting) {
        waiting = { requests: 0 }
        waitingOf.set(socket, waiting)
        readInTurn(socket, waiting)
        socket.once('close', () => {
          totalWaiting -= waiting?.requests ?? 0
        })
      }
      if (totalWaiting >= MAX_WAITING && waiting.requests >= ALWAYS_ALLOWED) return resetConnection(socket)
      waiting.requests += 1
      totalWaiting += 1
      // Node emits `socket` when it assigns the connection to the response.
      response.once('socket', () => {
        waiting.requests -= 1
        totalWaiting -= 1
        if (waiting.requests === 0) socket.resume()
        begin()
      })
    },

    isHeld: (socket) => (waitingOf.get(socket)?.requests ?? 0) > 0,

    stopReading(socket) {
      stopParsing(socket)
      // TCP holds back a caller that goes on sending. The connection closes when the answer is sent, or at the send timeout.
      // Not before the next tick: after this request, Node's parser resumes the socket.
      process.nextTick(() => socket.pause())
    },
  }
}

/**
 * Passes the data of this connection to Node's parser only while no request waits. The socket keeps one chunk, and then
 * stops reading. From now on JavaScript passes the data to the parser: this costs 3 µs a request, so it is only done for
 * connections that pipeline.
 */
function readInTurn(socket: ServerSocket, waiting: { requests: number }): void {
  const [parse] = socket.listeners('data') as ((chunk: Buffer) => void)[]
  if (!parse) return
  socket.off('data', parse)
  socket.on('data', (chunk: Buffer) => {
    if (waiting.requests === 0 && !socket._paused) return parse(chunk)
    socket.pause()
    socket.unshift(chunk)
  })
}

/**
 * Closes the connection at once with a TCP reset. After an end, the kernel would keep the unread answers for minutes, up to 4 MB
 * for each connection.
 */
export function resetConnection(socket: ServerSocket): void {
  stopParsing(socket)
  // A TLS connection cannot be reset: Node would throw, and the process would end.
  const connection = socket._parent ?? socket
  if (!connection.destroyed) connection.resetAndDestroy()
}

/**
 * Keeps Node from parsing more requests of the current chunk. Without it, 200 connections made 400,000 requests of 3 KB
 * before the first connection closed.
 */
function stopParsing({ parser }: ServerSocket): void {
  if (!parser) return
  parser.onIncoming = (request) => {
    ;(request as { upgrade?: boolean }).upgrade = false
    // For the parser, 2 means that the rest of the chunk is not HTTP.
    return 2
  }
}
