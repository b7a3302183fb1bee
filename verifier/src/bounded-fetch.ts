import { askWithin, type Clock } from './clock.js'

/** An HTTP answer, its body parsed where it is JSON. */
export interface JsonAnswer {
  status: number
  body: unknown
}

export interface FetchLimits {
  /** Milliseconds, until the last byte. */
  timeout: number
  /** Bytes of the body. */
  size: number
}

/** @throws TypeError where this is no address that may be asked. It may hold a password: nobody repeats it. */
export function requireHttpUrl(url: unknown, name: string): asserts url is string {
  if (typeof url !== 'string' || !URL.canParse(url) || !['http:', 'https:'].includes(new URL(url).protocol)) {
    throw new TypeError(`${name} must be an address that begins with https:// or http://`)
  }
}

/**
 * An HTTP request that ends in time and answers with no more than it may. It follows no redirect: where our credentials
 * go, and whose keys we believe, was configured. An answer that is older than the timeout when it is read is asked for a
 * second time.
 */
export function fetchJson(url: string, request: RequestInit, limits: FetchLimits, clock: Clock): Promise<JsonAnswer> {
  return askWithin(limits.timeout, () => fetchOnce(url, request, limits), clock)
}

async function fetchOnce(url: string, request: RequestInit, { timeout, size }: FetchLimits): Promise<JsonAnswer> {
  const response = await fetch(url, { ...request, redirect: 'error', signal: AbortSignal.timeout(timeout) })
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of response.body ?? []) {
    length += chunk.length
    if (length > size) throw new Error(`the answer is longer than ${size} bytes`)
    chunks.push(chunk)
  }
  try {
    return { status: response.status, body: JSON.parse(Buffer.concat(chunks).toString('utf8')) }
  } catch {
    return { status: response.status, body: undefined }
  }
}

/** What a failed fetch has to say: undici hides it in the cause. */
export function fetchFailure(error: unknown): string {
  const { message, cause } = error as Error & { cause?: { code?: string; message?: string } }
  return cause?.code ?? cause?.message ?? message
}
