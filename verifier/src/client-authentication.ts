/** How this service proves to Latchkey which client it is. */
export interface ClientAuthentication {
  /** The headers of a request. */
  headers(): Record<string, string>
}

/** `client_secret_basic` (RFC 6749 §2.3.1): both parts are form-encoded, joined, and encoded in base64. */
export function clientSecretBasic(id: string, secret: string): ClientAuthentication {
  const encode = (text: string) => new URLSearchParams({ '': text }).toString().slice(1)
  const authorization = `Basic ${Buffer.from(`${encode(id)}:${encode(secret)}`).toString('base64')}`
  return { headers: () => ({ authorization }) }
}
