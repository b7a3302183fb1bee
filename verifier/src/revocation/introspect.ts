import { fetchFailure, fetchJson, type JsonResponse } from '../bounded-fetch.js'
import type { ClientAuthentication } from '../client-authentication.js'
import type { Clock, Moment } from '../clock.js'
import type { AccessTokenClaims } from '../token/claims.js'
import { TokenError } from '../token/token-error.js'
import type { Revocation } from './revocation.js'

interface IntrospectionOptions {
  endpoint: string
  authentication: ClientAuthentication
  /** 0: no answer is cached or shared. */
  cacheSeconds: number
}

/** `timeout` in milliseconds, `size` in bytes. */
const LIMITS = { timeout: 2000, size: 64 * 1024 }
/** Cached answers. Past this number the oldest is dropped. */
const CACHE_SIZE = 10_000

interface CachedAnswer {
  isLive: boolean
  /** The moment before the request was sent. A slow answer is already that old. */
  sent: Moment
}

/** Asks the service about each token (RFC 7662), and caches the answer for `cacheSeconds`. */
export function createIntrospection(options: IntrospectionOptions, clock: Clock): Revocation {
  const { endpoint, authentication, cacheSeconds } = options
  const cache = new Map<string, CachedAnswer>()
  const inFlight = new Map<string, { sent: Moment; isLive: Promise<boolean> }>()

  async function post(token: string): Promise<unknown> {
    let response: JsonResponse
    const makeRequest = async () => {
      const headers = { ...(await authentication.headers(LIMITS.timeout)), accept: 'application/json' }
      return { method: 'POST', headers, body: new URLSearchParams({ token }) }
    }
    try {
      response = await fetchJson(endpoint, makeRequest, LIMITS, clock)
    } catch (error) {
      throw new TokenError('unavailable', `introspection failed: ${fetchFailure(error)}`)
    }
    if (response.status !== 200) throw new TokenError('unavailable', `introspection answered ${response.status}`)
    return response.body
  }

  const isRecent = (sent: Moment) => clock.elapsedSince(sent) < cacheSeconds * 1000

  async function introspect(claims: AccessTokenClaims, token: string, sent = clock.now()): Promise<boolean> {
    const answer = (await post(token)) as { active?: unknown; jti?: unknown } | undefined
    const isLive = answer?.active
    // RFC 7662 makes `jti` optional. If `jti` is there, the answer must be about this token.
    if (typeof isLive !== 'boolean' || (isLive && answer?.jti !== undefined && answer.jti !== claims.jti)) {
      throw new TokenError('unavailable', 'the introspection answer is not about this token: check the endpoint')
    }
    store(token, { isLive, sent })
    return isLive
  }

  function store(token: string, answer: CachedAnswer): void {
    if (cacheSeconds === 0) return
    cache.delete(token)
    cache.set(token, answer)
    if (cache.size > CACHE_SIZE) cache.delete(cache.keys().next().value as string)
  }

  function introspectOnce(claims: AccessTokenClaims, token: string): Promise<boolean> {
    // A request in flight may be older than a revocation that the caller knows of. Without a cache, no answer is shared.
    if (cacheSeconds === 0) return introspect(claims, token)
    const shared = inFlight.get(token)
    // If the process was stopped since then, the shared answer would be older than `cacheSeconds`.
    if (shared && isRecent(shared.sent)) return shared.isLive
    const sent = clock.now()
    const isLive = introspect(claims, token, sent).finally(() => {
      if (inFlight.get(token)?.isLive === isLive) inFlight.delete(token)
    })
    inFlight.set(token, { sent, isLive })
    return isLive
  }

  return {
    async ready() {
      // The token does not matter. The service must accept the credentials.
      await post('ready').catch((error: TokenError) => {
        throw new Error(error.message)
      })
    },

    isLive(claims, token) {
      const cached = cache.get(token)
      // The caller has checked the expiry of the token, so a cached answer cannot prolong it.
      return cached && isRecent(cached.sent) ? cached.isLive : introspectOnce(claims, token)
    },

    async close() {
      cache.clear()
    },
  }
}
