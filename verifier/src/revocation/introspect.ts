import { fetchFailure, fetchJson, type JsonResponse } from '../bounded-fetch.js'
import type { Clock, Moment } from '../clock.js'
import type { AccessTokenClaims } from '../token/claims.js'
import { TokenError } from '../token/token-error.js'
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
  /** When the service was asked. */
  asked: Moment
}

/** Asks the service (RFC 7662), and remembers its answer for as long as it is told to. */
export function createIntrospection(options: IntrospectionOptions, clock: Clock): Revocation {
  const { endpoint, clientId, clientSecret, cacheSeconds } = options
  const headers = { authorization: basicCredentials(clientId, clientSecret), accept: 'application/json' }
  const remembered = new Map<string, Remembered>()
  const underWay = new Map<string, { asked: Moment; isLive: Promise<boolean> }>()

  async function post(token: string): Promise<unknown> {
    let answer: JsonResponse
    try {
      const request = { method: 'POST', headers, body: new URLSearchParams({ token }) }
      answer = await fetchJson(endpoint, request, LIMITS, clock)
    } catch (error) {
      throw new TokenError('unavailable', `introspection failed: ${fetchFailure(error)}`)
    }
    if (answer.status !== 200) throw new TokenError('unavailable', `introspection answered ${answer.status}`)
    return answer.body
  }

  const isRecent = (asked: Moment) => clock.elapsedSince(asked) < cacheSeconds * 1000

  async function ask(claims: AccessTokenClaims, token: string, asked = clock.now()): Promise<boolean> {
    const answer = (await post(token)) as { active?: unknown; jti?: unknown } | undefined
    const isLive = answer?.active
    // An answer about some other token (RFC 7662 makes `jti` optional) is no answer.
    if (typeof isLive !== 'boolean' || (isLive && answer?.jti !== undefined && answer.jti !== claims.jti)) {
      throw new TokenError('unavailable', 'introspection answered something else')
    }
    // From when it was asked: an answer that was long on its way is that much older.
    remember(token, { isLive, asked })
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
    const question = underWay.get(token)
    // A process that was stopped since then would share an answer that is older than the cache allows.
    if (question && isRecent(question.asked)) return question.isLive
    const asked = clock.now()
    const isLive = ask(claims, token, asked).finally(() => {
      if (underWay.get(token)?.isLive === isLive) underWay.delete(token)
    })
    underWay.set(token, { asked, isLive })
    return isLive
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
      return known && isRecent(known.asked) ? known.isLive : askOnce(claims, token)
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
