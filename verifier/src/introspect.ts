import { type AccessTokenClaims, TokenError } from './access-token.js'
import { fetchFailure, fetchJson, type JsonAnswer } from './bounded-fetch.js'
import type { Revocation } from './revocation.js'

export interface IntrospectionOptions {
  endpoint: string
  clientId: string
  clientSecret: string
  cacheSeconds: number
}

const LIMITS = { timeout: 2000, size: 64 * 1024 }
/** Answers remembered at most; past that, the oldest goes. */
const CACHE_SIZE = 10_000

interface Remembered {
  isLive: boolean
  /** Until when, by `performance.now()`. */
  until: number
}

/** Asks the service (RFC 7662), and remembers its answer for as long as it is told to. */
export function createIntrospection(options: IntrospectionOptions): Revocation {
  const { endpoint, clientId, clientSecret, cacheSeconds } = options
  const headers = { authorization: basicCredentials(clientId, clientSecret), accept: 'application/json' }
  const remembered = new Map<string, Remembered>()
  const underWay = new Map<string, Promise<boolean>>()

  async function post(token: string): Promise<unknown> {
    let answer: JsonAnswer
    try {
      answer = await fetchJson(endpoint, { method: 'POST', headers, body: new URLSearchParams({ token }) }, LIMITS)
    } catch (error) {
      throw new TokenError('unavailable', `introspection failed: ${fetchFailure(error)}`)
    }
    if (answer.status !== 200) throw new TokenError('unavailable', `introspection answered ${answer.status}`)
    return answer.body
  }

  async function ask(claims: AccessTokenClaims, token: string): Promise<boolean> {
    const asked = performance.now()
    const answer = (await post(token)) as { active?: unknown; jti?: unknown } | undefined
    const isLive = answer?.active
    // An answer about some other token (RFC 7662 makes `jti` optional) is no answer.
    if (typeof isLive !== 'boolean' || (isLive && answer?.jti !== undefined && answer.jti !== claims.jti)) {
      throw new TokenError('unavailable', 'introspection answered something else')
    }
    // From when it was asked: an answer that was long on its way is that much older.
    remember(token, { isLive, until: asked + cacheSeconds * 1000 })
    return isLive
  }

  function remember(token: string, answer: Remembered): void {
    if (cacheSeconds === 0) return
    remembered.delete(token)
    remembered.set(token, answer)
    if (remembered.size > CACHE_SIZE) remembered.delete(remembered.keys().next().value as string)
  }

  function askOnce(claims: AccessTokenClaims, token: string): Promise<boolean> {
    // An answer that is on its way may be from before a revocation that the caller knows of: one who wants no cache
    // does not get it.
    if (cacheSeconds === 0) return ask(claims, token)
    let answer = underWay.get(token)
    if (!answer) {
      answer = ask(claims, token).finally(() => underWay.delete(token))
      underWay.set(token, answer)
    }
    return answer
  }

  return {
    async ready() {
      // No token at all: what counts is that our credentials are taken.
      await post('ready').catch((error: TokenError) => {
        throw new Error(error.message)
      })
    },

    isLive(claims, token) {
      const known = remembered.get(token)
      // That a token has expired is asked of its claims, each time, before this is.
      return known && performance.now() < known.until ? known.isLive : askOnce(claims, token)
    },

    async close() {
      remembered.clear()
    },
  }
}

/** RFC 6749 §2.3.1: both parts in form encoding, then joined and in base64. */
function basicCredentials(id: string, secret: string): string {
  const encode = (text: string) => new URLSearchParams({ '': text }).toString().slice(1)
  return `Basic ${Buffer.from(`${encode(id)}:${encode(secret)}`).toString('base64')}`
}
