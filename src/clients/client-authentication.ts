export interface ClientCredentials {
  readonly id: string
  readonly secret: string
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

/** RFC 7523 §2.2. */
const JWT_BEARER = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

/** A token with which a client authenticates (RFC 7521 §4.2). */
export interface PresentedAssertion {
  assertion: string
  /** The id that the request names besides. */
  clientId?: string
}

/**
 * Reads the client assertion of a request. Undefined if the request has none. The request must not authenticate in a second
 * way (RFC 6749 §2.3).
 */
export function readClientAssertion({
  authorization,
  body,
}: PresentedCredentials): PresentedAssertion | { fault: string } | undefined {
  if (!hasClientAssertion(body)) return undefined
  const { client_assertion: assertion, client_assertion_type: type, client_id: clientId, client_secret: secret } = body
  if (authorization !== undefined || secret !== undefined) {
    return {
      fault: 'the client authenticates in two ways: send the assertion without a secret and without Authorization',
    }
  }
  if (typeof assertion !== 'string') return { fault: 'client_assertion must be a string, beside client_assertion_type' }
  if (type !== JWT_BEARER) return { fault: `client_assertion_type must be ${JWT_BEARER}` }
  if (clientId === undefined) return { assertion }
  return typeof clientId === 'string' ? { assertion, clientId } : { fault: 'client_id must be a string' }
}

/** Whether a body has a client assertion, or a part of one. */
export function hasClientAssertion(body: unknown): body is Record<string, unknown> {
  if (typeof body !== 'object' || body === null) return false
  // Every introspection comes here. A look-up of a member is cheaper than `Object.hasOwn`, and no prototype has these names.
  const { client_assertion: assertion, client_assertion_type: type } = body as Record<string, unknown>
  return assertion !== undefined || type !== undefined
}

/** Whether a body has client credentials, even invalid ones. */
export function hasPostedCredentials(body: unknown): boolean {
  return hasClientAssertion(body) || (typeof body === 'object' && body !== null && Object.hasOwn(body, 'client_secret'))
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
