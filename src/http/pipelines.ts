import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/** Requests of all connections together that may wait for their turn. One chunk of 64 KiB holds at most 2,621 requests. */
const MAX_WAITING = 4096
/** So many requests may wait on a connection whatever the other connections do. */
const ALWAYS_ALLOWED = 8

export interface Pipelines {
  /**
   * Calls `begin` when the answers before this one have been sent. Never calls it when the connection closes first.
   * For requests whose response has no socket yet: an earlier answer still has it.
   */
  takeTurn(request: IncomingMessage, response: ServerResponse, begin: () => void): void
  /** Whether requests of this connection wait for their turn. */
  isHeld(socket: Socket): boolean
}

/** What Node's HTTP server keeps on a socket: whether it has stopped reading by itself, and its parser. */
type ServerSocket = Socket & {
  _paused?: boolean
  parser?: { onIncoming: (request: IncomingMessage) => number } | null
}

/**
 * Handles the pipelined requests of a connection one after the other: a request begins when the answer before it has been
 * sent. So a caller that never reads holds one answer in memory, and a request behind an answer with `Connection: close` is
 * never begun (RFC 9112 §9.3.2, §9.6).
 *
 * Node parses a whole chunk of 64 KiB at once, and stops reading only when it has seen the answers: by then a chunk of
 * `GET /openapi.json` had become 1,500 answers of 150 KB.
 */
export function createPipelines(): Pipelines {
  const waitingOf = new WeakMap<Socket, { requests: number }>()
  let waitingOfAll = 0

  return {
    takeTurn({ socket }, response, begin) {
      // Closed by an earlier request of the same chunk.
      if (socket.destroyed) return
      let waiting = waitingOf.get(socket)
      if (!waiting) {
        waiting = { requests: 0 }
        waitingOf.set(socket, waiting)
        readInTurn(socket, waiting)
        socket.once('close', () => {
          waitingOfAll -= waiting?.requests ?? 0
        })
      }
      if (waitingOfAll >= MAX_WAITING && waiting.requests >= ALWAYS_ALLOWED) return reset(socket)
      waiting.requests += 1
      waitingOfAll += 1
      // Node emits it when it assigns the connection to the response.
      response.once('socket', () => {
        waiting.requests -= 1
        waitingOfAll -= 1
        if (waiting.requests === 0) socket.resume()
        begin()
      })
    },

    isHeld: (socket) => (waitingOf.get(socket)?.requests ?? 0) > 0,
  }
}

/**
 * Hands what arrives on this connection to Node's parser only while no request waits. The socket keeps one chunk, and then
 * stops reading. From now on Node's parser gets the data from JavaScript, and no longer from the socket itself: 3 µs more a
 * request, so only connections that pipeline pay it.
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

/** Closes the connection, and keeps Node from making requests of what is left of the chunk. */
function reset(socket: ServerSocket): void {
  // To the parser, 2 means that the rest of the chunk is not HTTP. Without it 200 connections made 400,000 requests of
  // 3 KB before the first connection was closed.
  if (socket.parser) {
    socket.parser.onIncoming = (request) => {
      ;(request as { upgrade?: boolean }).upgrade = false
      return 2
    }
  }
  socket.resetAndDestroy()
}
