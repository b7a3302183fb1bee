import { randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { announcesBody } from '../token/forward-auth.js'
import type { TokenError } from '../token/token-error.js'
import type { Verifier } from '../token-verifier.js'
import { type Answer, refusals } from './answers.js'
import { createCounters } from './counters.js'
import { createForwardAuth } from './forward-auth.js'

/** Bytes. */
const HEADER_LIMIT = 8 * 1024
/** Milliseconds that a gateway has to send a request. */
const RECEIVE_TIMEOUT = 5000
/** Milliseconds. Longer than the idle timeout of usual gateways, so that the gateway closes first. */
const KEEP_ALIVE_TIMEOUT = 72_000
const KNOWN_METHODS = ['DELETE', 'GET', 'HEAD', 'OPTIONS', 'PATCH', 'POST', 'PUT', 'QUERY', 'TRACE']

export interface SidecarOptions {
  verifier: Verifier
  /** Is called with the error of each refused token. */
  onRefused(error: TokenError): void
  /** Receives an unexpected error. */
  onFault(error: unknown): void
}

export interface Sidecar {
  server: Server
  /** From now on `/readyz` answers 200. */
  setReady(): void
  /** Answers the requests in flight, closes each connection, and resolves when all are closed. */
  drain(): Promise<void>
}

/** `ANY /verify` and `/verify/*` as the service answers them, and `/livez`, `/readyz` and `/metrics`. */
export function createSidecar({ verifier, onRefused, onFault }: SidecarOptions): Sidecar {
  const forwardAuth = createForwardAuth(verifier)
  const counters = createCounters()
  let isReady = false
  let isDraining = false

  const server = createServer(
    {
      maxHeaderSize: HEADER_LIMIT,
      headersTimeout: RECEIVE_TIMEOUT,
      requestTimeout: RECEIVE_TIMEOUT,
      connectionsCheckingInterval: 500,
      keepAliveTimeout: KEEP_ALIVE_TIMEOUT,
      // `ambiguityOf` refuses a request without Host. Node's own answer has no body.
      requireHostHeader: false,
    },
    (request, response) => {
      const url = request.url ?? '/'
      const mark = url.indexOf('?')
      const path = mark < 0 ? url : url.slice(0, mark)
      const ambiguity = ambiguityOf(request)
      if (ambiguity) send(request, response, refusals.ambiguous(ambiguity))
      else if (path !== '/verify' && !path.startsWith('/verify/')) send(request, response, answerOwn(request, path))
      else if (!isDecodable(path)) send(request, response, refusals.unreadable)
      else verify(request, response, mark < 0 ? undefined : url.slice(mark + 1))
    },
  )
  server.on('checkExpectation', (request: IncomingMessage, response: ServerResponse) =>
    send(request, response, refusals.expectation),
  )
  server.on('clientError', refuseUnreadable)

  function countRefusal(error: TokenError): void {
    counters.countRefusal(error.code)
    onRefused(error)
  }

  function verify(request: IncomingMessage, response: ServerResponse, query: string | undefined): void {
    // The answer does not wait for the body: nginx announces bodies that it never sends.
    if (announcesBody(request.headers)) closeAfter(request, response)
    const answer = forwardAuth.answer(request, query, countRefusal)
    if (answer instanceof Promise) {
      answer.then(
        (found) => sendVerdict(request, response, found),
        (error) => {
          onFault(error)
          sendVerdict(request, response, refusals.fault)
        },
      )
    } else sendVerdict(request, response, answer)
  }

  function sendVerdict(request: IncomingMessage, response: ServerResponse, answer: Answer): void {
    counters.countAnswer(answer.status)
    send(request, response, answer)
  }

  function answerOwn({ method }: IncomingMessage, path: string): Answer {
    if (!['/livez', '/readyz', '/metrics'].includes(path)) {
      return KNOWN_METHODS.includes(method ?? '') ? refusals.notFound : refusals.unknownMethod
    }
    if (method !== 'GET' && method !== 'HEAD') return refusals.methodNotAllowed
    if (path === '/metrics') {
      const body = counters.render({ isReady, malformedFeedEntries: verifier.malformedFeedEntries })
      return { status: 200, headers: { 'content-type': 'text/plain; version=0.0.4' }, body }
    }
    const isGood = path === '/livez' || (isReady && !isDraining)
    return isGood ? { status: 200, headers: {}, body: '' } : refusals.unavailable
  }

  function send(request: IncomingMessage, response: ServerResponse, answer: Answer): void {
    const { status, headers, body } = answer
    const given = request.headers['x-request-id']
    const id = typeof given === 'string' && /^[\w.:-]{1,128}$/.test(given) ? given : nextRequestId()
    if (isDraining) response.setHeader('connection', 'close')
    response.writeHead(status, {
      ...headers,
      ...(!WITHOUT_ID.has(answer) && { 'x-request-id': id }),
      'content-length': Buffer.byteLength(body),
    })
    response.end(request.method === 'HEAD' ? undefined : body)
  }

  return {
    server,
    setReady() {
      isReady = true
    },
    drain() {
      isDraining = true
      return new Promise((resolve) => {
        server.close(() => resolve())
        server.closeIdleConnections()
      })
    },
  }
}

/** The service makes no id for these answers either: Fastify does not see such a request. */
const WITHOUT_ID: ReadonlySet<Answer> = new Set([refusals.unreadable, refusals.expectation])

/** Answers what Node's HTTP parser cannot read, and requests that arrive too slowly: Node's own answers have no body. */
function refuseUnreadable({ code }: Error & { code?: string }, socket: AnsweringSocket): void {
  if (code === 'ECONNRESET' || !socket.writable) return void socket.destroy()
  // One request gets one answer.
  if (socket._httpMessage?.headersSent) return void socket.destroySoon()
  const { body } = refusals.unreadable
  const status = STATUS_OF_PARSER[code as keyof typeof STATUS_OF_PARSER] ?? '400 Bad Request'
  // A caller that does not read the answer is cut off.
  socket.setTimeout(RECEIVE_TIMEOUT)
  socket.end(
    `HTTP/1.1 ${status}\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: ${Buffer.byteLength(body)}\r\n` +
      `Connection: close\r\n\r\n${body}`,
  )
}

const STATUS_OF_PARSER = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
}

/** @property _httpMessage the answer that Node is writing, if any */
type AnsweringSocket = Socket & { _httpMessage?: ServerResponse | null }

/** Ids of this process: a random word and a number. */
const PROCESS_ID = randomBytes(9).toString('base64url')
let requests = 0

function nextRequestId(): string {
  requests += 1
  return `${PROCESS_ID}-${requests}`
}

/**
 * Why two readers could disagree about the end or the sender of the request, or undefined. Two `Authorization` headers get 401
 * later, because the gateway passes on what its caller sent.
 */
function ambiguityOf({ rawHeaders, headers, httpVersion }: IncomingMessage): string | undefined {
  let hosts = 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string
    if (name.length === 4 && name.toLowerCase() === 'host') hosts += 1
  }
  if (hosts > 1) return 'the header host is given twice: send it once'
  if (hosts === 0 && httpVersion === '1.1') return 'the header host is missing'
  const coding = headers['transfer-encoding']
  if (coding === undefined) return undefined
  if (coding.toLowerCase() !== 'chunked') return 'Transfer-Encoding must be chunked'
  return httpVersion === '1.1' ? undefined : 'HTTP/1.0 has no Transfer-Encoding: send Content-Length'
}

/**
 * Ends the connection after the answer. A gateway may never send the body that it announced, and Node would read the next request
 * as that body. Only the sending side closes: a reset would lose the answer while the gateway still sends.
 */
function closeAfter({ socket }: IncomingMessage, response: ServerResponse): void {
  response.setHeader('connection', 'close')
  socket.destroySoon = function (this: Socket) {
    this.end()
  }
}

function isDecodable(path: string): boolean {
  if (!path.includes('%')) return true
  try {
    decodeURIComponent(path)
    return true
  } catch {
    return false
  }
}
