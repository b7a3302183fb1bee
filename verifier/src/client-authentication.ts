import { requireTexts } from './options.js'

/** How this service proves to Latchkey which client it is. */
export interface ClientAuthentication {
  /**
   * The headers of a request.
   *
   * @param timeout milliseconds until the headers must be there
   * @throws Error if the assertion cannot be made in time
   */
  headers(timeout: number): Record<string, string> | Promise<Record<string, string>>
}

/** A client, and its secret or its assertions. */
export interface ClientCredentials {
  clientId: string
  clientSecret?: string | undefined
  /**
   * Returns a JWT instead of a secret: the token of a Kubernetes service account, a SPIFFE JWT-SVID, or an assertion that the client
   * signs. The function is called each time that a request is sent, also when a request is repeated. An assertion of the client's own is
   * good once, so make a new one each time.
   */
  clientAssertion?: (() => string | Promise<string>) | undefined
}

/** @throws TypeError if the credentials are not an id, and either a secret or assertions */
export function authenticateWith(credentials: ClientCredentials, prefix = ''): ClientAuthentication {
  const { clientId, clientSecret, clientAssertion } = credentials
  if (clientAssertion === undefined) {
    requireTexts({ [`${prefix}clientId`]: clientId, [`${prefix}clientSecret`]: clientSecret })
    return clientSecretBasic(clientId, clientSecret as string)
  }
  requireTexts({ [`${prefix}clientId`]: clientId })
  if (clientSecret !== undefined) throw new TypeError(`${prefix}clientSecret and clientAssertion exclude each other`)
  if (typeof clientAssertion !== 'function') throw new TypeError(`${prefix}clientAssertion must be a function`)
  // GET /revocations takes no body, so the assertion is the bearer token everywhere.
  return {
    headers: async (timeout) => ({ authorization: `Bearer ${await makeAssertion(clientAssertion, timeout)}` }),
  }
}

async function makeAssertion(make: () => string | Promise<string>, timeout: number): Promise<string> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`clientAssertion gave no assertion within ${timeout} ms`)), timeout)
  })
  try {
    const assertion: unknown = await Promise.race([make(), late])
    // `fetch` would repeat any other text in its error, and so in the log. It may be a key that was mounted by mistake.
    if (typeof assertion !== 'string' || !JWT.test(assertion.trim())) {
      throw new Error('clientAssertion must return a JWT as a string')
    }
    return assertion.trim()
  } finally {
    clearTimeout(timer)
  }
}

/** The characters of a JWT (RFC 7519 §3). */
const JWT = /^[\w-]+(\.[\w-]*){2,4}$/

/** `client_secret_basic` (RFC 6749 §2.3.1): both parts are form-encoded, joined, and encoded in base64. */
function clientSecretBasic(id: string, secret: string): ClientAuthentication {
  const encode = (text: string) => new URLSearchParams({ '': text }).toString().slice(1)
  const authorization = `Basic ${Buffer.from(`${encode(id)}:${encode(secret)}`).toString('base64')}`
  return { headers: () => ({ authorization }) }
}
