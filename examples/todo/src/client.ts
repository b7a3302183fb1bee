import type { TodoConfig } from './config.js'

/** Calls the token service as this service: with its own id and secret, never with a token of a person. */
export interface TokenServiceClient {
  /** The user name of a token's person, which no token has. Undefined: the token is not active. */
  findUsername(token: string): Promise<string | undefined>
  /** A token with which the account gets a new password. Undefined: there is no such account. */
  requestRecovery(username: string): Promise<{ token: string; sub: string; username: string } | undefined>
}

/** Milliseconds. */
const TIMEOUT = 10_000

export function createClient({ tokenService, clientId, clientSecret }: TodoConfig): TokenServiceClient {
  async function post(path: string, fields: Record<string, string>): Promise<Response> {
    const credentials = [clientId, clientSecret].map(encodeURIComponent).join(':')
    const response = await fetch(`${tokenService}${path}`, {
      method: 'POST',
      headers: { authorization: `Basic ${Buffer.from(credentials).toString('base64')}` },
      body: new URLSearchParams(fields),
      redirect: 'error',
      signal: AbortSignal.timeout(TIMEOUT),
    })
    if (!response.ok && response.status !== 404) throw new Error(`${path} answered ${response.status}`)
    return response
  }

  return {
    async findUsername(token) {
      const { username } = (await (await post('/introspect', { token })).json()) as { username?: string }
      return username
    },

    async requestRecovery(username) {
      const response = await post('/recovery', { username })
      if (response.status === 404) return undefined
      return (await response.json()) as { token: string; sub: string; username: string }
    },
  }
}
