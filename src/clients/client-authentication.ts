export interface ClientCredentials {
  id: string
  secret: string
}

export interface PresentedCredentials {
  /** The `Authorization` header. */
  authorization: string | undefined
  /** The parsed body, not yet validated. */
  body: unknown
}

/**
 * Reads the client credentials of a request (RFC 6749 §2.3.1): `client_secret_basic` or `client_secret_post`. A request may
 * send both if they are identical.
 *
 * The standard percent-encodes the parts of `client_secret_basic`, but about half of all clients send them raw. If the two
 * readings differ, the result has both, and the caller tries them in order.
 *
 * @returns an empty list if the request has no credentials, or two that differ
 */
export function readClientCredentials({ authorization, body }: PresentedCredentials): ClientCredentials[] {
  const { id, secret } = readPosted(body)
  if (authorization === undefined) return typeof id === 'string' && typeof secret === 'string' ? [{ id, secret }] : []
  // Many clients send the id in both places and the secret in one.
  return readBasic(authorization).filter(
    (basic) => (id === undefined || id === basic.id) && (secret === undefined || secret === basic.secret),
  )
}

/** Whether a body has client credentials, even invalid ones or an unsupported assertion (RFC 7521 §4.2). */
export function hasPostedCredentials(body: unknown): boolean {
  if (typeof body !== 'object' || body === null) return false
  return Object.hasOwn(body, 'client_secret') || Object.hasOwn(body, 'client_assertion')
}

/** Whether a body has any parameter that identifies the client. */
export function namesClient(body: unknown): boolean {
  return hasPostedCredentials(body) || (typeof body === 'object' && body !== null && Object.hasOwn(body, 'client_id'))
}

function readBasic(authorization: string): ClientCredentials[] {
  const encoded = /^basic +([A-Za-z0-9+/_-]+={0,2})$/i.exec(authorization)?.[1]
  if (!encoded) return []
  const text = Buffer.from(encoded, 'base64').toString('utf8')
  const colon = text.indexOf(':')
  if (colon < 0) return []
  const raw = { id: text.slice(0, colon), secret: text.slice(colon + 1) }
  const decoded = { id: decodeForm(raw.id), secret: decodeForm(raw.secret) }
  if (decoded.id === undefined || decoded.secret === undefined) return [raw]
  if (decoded.id === raw.id && decoded.secret === raw.secret) return [raw]
  return [{ id: decoded.id, secret: decoded.secret }, raw]
}

function readPosted(body: unknown): { id?: unknown; secret?: unknown } {
  if (typeof body !== 'object' || body === null) return {}
  const { client_id: id, client_secret: secret } = body as Record<string, unknown>
  return { id, secret }
}

function decodeForm(text: string): string | undefined {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    return undefined
  }
}
