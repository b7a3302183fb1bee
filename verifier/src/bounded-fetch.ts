import type { IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { askWithin, type Clock, type Moment } from './clock.js'

/** An HTTP response. `body` is the parsed JSON, or undefined if the body is not JSON. */
export interface JsonResponse {
  status: number
  headers: Headers
  body: unknown
}

export interface FetchLimits {
  /** Milliseconds until the last byte of the response. */
  timeout: number
  /** The most bytes of the body. */
  size: number
}

/** Makes the request, each time that the request is sent: an assertion of a client is good once. */
export type MakeRequest = () => RequestInit | Promise<RequestInit>

export interface GetOptions {
  headers: Record<string, string>
  /** The certificate authorities of the server, as PEM, instead of those of Node. */
  ca: string
}

/** A service that restarts closes all idle connections, and there may be several of them. So one more attempt is not enough. */
const ATTEMPTS = 3
/** Codes of a connection that was closed before the response began. */
const CLOSED = ['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE']

/** @throws TypeError if this is not an HTTP URL. The message does not contain the URL, which may hold a password */
export function requireHttpUrl(url: unknown, name: string): asserts url is string {
  if (typeof url !== 'string' || !URL.canParse(url) || !['http:', 'https:'].includes(new URL(url).protocol)) {
    throw new TypeError(`${name} must be a URL that begins with https:// or http://`)
  }
}

/**
 * Sends an HTTP request with a timeout and a limit for the size of the response. The request must change nothing at the server,
 * because it may be sent again. It follows no redirect, because credentials and trust in keys belong to the configured URL. If the response is older than the timeout when it is read, the request is sent
 * a second time.
 *
 * @throws Error if the request cannot be made or fails, or if the response is late or too long
 */
export function fetchJson(
  url: string,
  makeRequest: MakeRequest,
  limits: FetchLimits,
  clock: Clock,
): Promise<JsonResponse> {
  return askWithin(
    limits.timeout,
    () => fetchJsonOnce(url, makeRequest, limits, clock),
    clock,
    ({ sent }) => sent,
  )
}

/**
 * Like {@link fetchJson}, but without the second request: the caller judges the age of the response by the moment before its
 * request was sent.
 *
 * @param signal aborts the request
 */
export async function fetchJsonOnce(
  url: string,
  makeRequest: MakeRequest,
  { timeout, size }: FetchLimits,
  clock: Clock,
  signal?: AbortSignal,
): Promise<JsonResponse & { sent: Moment }> {
  const abort = new AbortController()
  let timer: NodeJS.Timeout | undefined
  const abortToo = () => abort.abort(signal?.reason)
  // Not AbortSignal.any: in Node 20 it keeps memory for each request as long as the caller's signal lives.
  signal?.addEventListener('abort', abortToo)
  try {
    const { response, sent } = await sendAgainIfClosed(async () => {
      const request = await makeRequest()
      // The time that it takes to make the first request has its own limit.
      timer ??= setTimeout(() => abort.abort(new Error(`no answer within ${timeout} ms`)), timeout)
      const sent = clock.now()
      return { sent, response: await fetch(url, { ...request, redirect: 'error', signal: abort.signal }) }
    })
    const { status, headers } = response
    const body = response.body ? await readText(chunksUntilAbort(response.body, abort.signal), size) : ''
    return { status, headers, body: parseJson(body), sent }
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', abortToo)
  }
}

/** Like {@link fetchJson} for a GET request to a server with a certificate of these authorities. The URL begins with `https://`. */
export function getJsonTrusting(
  url: string,
  request: GetOptions,
  limits: FetchLimits,
  clock: Clock,
): Promise<JsonResponse> {
  return askWithin(limits.timeout, () => getTrustingOnce(url, request, limits), clock)
}

/** `fetch` of Node cannot be told which authorities to trust. `node:https` follows no redirect. */
async function getTrustingOnce(
  url: string,
  { ca, headers }: GetOptions,
  { timeout, size }: FetchLimits,
): Promise<JsonResponse> {
  const signal = AbortSignal.timeout(timeout)
  const send = () =>
    new Promise<IncomingMessage>((resolve, reject) => {
      httpsRequest(url, { ca, headers, signal }, resolve).on('error', reject).end()
    })
  const response = await sendAgainIfClosed(send)
  const body = await readText(response, size)
  return { status: response.statusCode ?? 0, headers: new Headers(), body: parseJson(body) }
}

/**
 * Sends a request, and sends it again if the server closed the connection before its response. A server may close an idle
 * connection while the next request is on its way. Node repeats no such request, because Node does not know that it changes
 * nothing at the server.
 */
async function sendAgainIfClosed<Response>(send: () => Promise<Response>): Promise<Response> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await send()
    } catch (error) {
      if (attempt === ATTEMPTS || !CLOSED.includes(failureCode(error) ?? '')) throw error
    }
  }
}

/**
 * The chunks of a body. `fetch` of Node 20 and 22 forgets its signal after a garbage collection (undici, issue 3644). Then a
 * server that stops within a body would hold the request for five minutes, so the abort cancels the body here.
 */
async function* chunksUntilAbort(body: ReadableStream<Uint8Array>, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const reader = body.getReader()
  const cancel = () => void reader.cancel(signal.reason).catch(() => {})
  signal.addEventListener('abort', cancel)
  try {
    for (;;) {
      signal.throwIfAborted()
      const { done, value } = await reader.read()
      // A cancelled body ends like a whole one.
      signal.throwIfAborted()
      if (done) return
      yield value
    }
  } finally {
    signal.removeEventListener('abort', cancel)
    // Nobody reads the rest, for example of a body that is too long.
    cancel()
  }
}

async function readText(chunks: AsyncIterable<Uint8Array>, size: number): Promise<string> {
  const read: Uint8Array[] = []
  let length = 0
  for await (const chunk of chunks) {
    length += chunk.length
    if (length > size) throw new Error(`the response is longer than ${size} bytes`)
    read.push(chunk)
  }
  return Buffer.concat(read).toString('utf8')
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** The code of Node for a failed request. `fetch` puts it into `cause`. */
function failureCode(error: unknown): string | undefined {
  const { code, cause } = error as { code?: string; cause?: { code?: string } }
  return cause?.code ?? code
}

/** The reason of a failed fetch. Node's `fetch` puts it into `cause`. */
export function fetchFailure(error: unknown): string {
  const { message, cause } = error as Error & { cause?: { code?: string; message?: string } }
  return cause?.code ?? cause?.message ?? message
}
