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
 * What a caller may have meant by its credentials (RFC 6749 §2.3.1), to be tried in order: `client_secret_basic`, whose
 * parts are percent-encoded by the standard and raw by half of all clients, or `client_secret_post`. Both together are
 * tolerated when they are identical.
 *
 * @returns none where there are no credentials, or where there are two that differ
 */
export function readClientCredentials({ authorization, body }: PresentedCredentials): ClientCredentials[] {
  const { id, secret } = readPosted(body)
  if (authorization === undefined) return typeof id === 'string' && typeof secret === 'string' ? [{ id, secret }] : []
  // Many send the id in both places and the secret in one.
  return readBasic(authorization).filter(
    (basic) => (id === undefined || id === basic.id) && (secret === undefined || secret === basic.secret),
  )
}

/** Whether a body means to carry a proof, be it in a wrong way, or one that is not supported (RFC 7521 §4.2). */
export function hasPostedCredentials(body: unknown): boolean {
  if (typeof body !== 'object' || body === null) return false
  return Object.hasOwn(body, 'client_secret') || Object.hasOwn(body, 'client_assertion')
}

/** Whether a body says anything of who the client is. */
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
