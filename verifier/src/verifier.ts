import { requireHttpUrl } from './bounded-fetch.js'
import { type Clock, systemClock } from './clock.js'
import { createFollower } from './revocation/follow.js'
import { createIntrospection } from './revocation/introspect.js'
import { createLookup } from './revocation/lookup.js'
import { type RedisLocation, requireRedisLocation } from './revocation/redis.js'
import { noRevocation, type Revocation } from './revocation/revocation.js'
import {
  type AccessTokenClaims,
  createAccessTokenCheck,
  TokenError,
  type VerificationKey,
} from './token/access-token.js'
import { createKeys, type KeyOptions } from './token/keys.js'

/** How the verifier learns of revocations. There is no default, because none suits every service. */
export type RevocationOptions =
  /**
   * Follows the service's feed in Redis and answers from memory. No token is accepted later than `maxStaleness` (milliseconds,
   * default 1000) after its revocation. If the feed is older, each token is looked up in Redis. Without Redis no token is accepted.
   */
  | { mode: 'follow'; redis: RedisLocation; maxStaleness?: number }
  /** Asks Redis about each token: one round trip. */
  | { mode: 'lookup'; redis: RedisLocation }
  /** Asks the service (RFC 7662). An answer is cached for `cacheSeconds`. With 0 the verifier asks about each token. */
  | { mode: 'introspect'; endpoint: string; clientId: string; clientSecret: string; cacheSeconds: number }
  /** Checks no revocation: a revoked token is accepted until it expires. */
  | { mode: 'none' }

export interface VerifierOptions {
  /** The expected `iss`: the service's setting `ISSUER`, exactly. */
  issuer: string
  /** The audiences of this service. A token is accepted if its `aud` is one of them. */
  audience: string | readonly string[]
  keys: KeyOptions
  revocation: RevocationOptions
}

export interface Verifier {
  /** Resolves when tokens can be verified. Rejects with an error that says why they cannot. */
  ready(): Promise<void>
  /**
   * Returns the claims of an access token that is valid now.
   *
   * @throws TokenError whose `code` says why the token was refused. `unavailable`: nobody can say now
   */
  verify(token: string): Promise<AccessTokenClaims>
  /** The number of feed entries that could not be read in full, since the start. 0 in every mode but `follow`. */
  readonly malformedFeedEntries: number
  /** Closes the connections. */
  close(): Promise<void>
}

/**
 * Creates a verifier of Latchkey's access tokens.
 *
 * ```ts
 * const verifier = createVerifier({
 *   issuer: 'https://auth.example.com',
 *   audience: 'todo',
 *   keys: { secrets: [process.env.JWT_SECRET] },
 *   revocation: { mode: 'follow', redis: 'redis://localhost' },
 * })
 * await verifier.ready()
 * const { sub } = await verifier.verify(token)
 * ```
 *
 * @param clock for tests
 * @throws TypeError if an option is missing, unknown or invalid
 */
export function createVerifier(options: VerifierOptions, clock: Clock = systemClock): Verifier {
  requireMembers(options, 'the options', ['issuer', 'audience', 'keys', 'revocation'])
  const { issuer } = options
  const audiences = [options.audience].flat()
  if (!isText(issuer)) throw new TypeError('issuer must be a string, and not empty')
  if (audiences.length === 0 || !audiences.every(isText)) {
    throw new TypeError('audience must be a string or a list of strings, and not empty')
  }
  const keys = createKeys(requireKeyOptions(options.keys), clock)
  const revocation = createRevocation(options.revocation, clock)
  let checkKeys: readonly VerificationKey[] | undefined
  let check: (token: string) => AccessTokenClaims

  function checkNow(token: string): AccessTokenClaims {
    const keysNow = keys.current()
    if (keysNow !== checkKeys) {
      checkKeys = keysNow
      check = createAccessTokenCheck({ issuer, audiences, keys: keysNow, now: clock.wall })
    }
    return check(token)
  }

  async function checkAfterRefresh(token: string, error: unknown): Promise<AccessTokenClaims> {
    if (error instanceof TokenError && error.code === 'unknown_key' && (await keys.refresh())) return checkNow(token)
    throw error
  }

  return {
    async ready() {
      await Promise.all([keys.ready(), revocation.ready()])
    },

    async verify(token) {
      let claims: AccessTokenClaims
      const renewal = keys.renew()
      if (renewal) await renewal
      try {
        claims = checkNow(token)
      } catch (error) {
        claims = await checkAfterRefresh(token, error)
      }
      const isLive = revocation.isLive(claims, token)
      if (!(typeof isLive === 'boolean' ? isLive : await isLive)) {
        throw new TokenError('revoked', 'the token, or its session, has been revoked')
      }
      return claims
    },

    get malformedFeedEntries() {
      return revocation.malformedEntries ?? 0
    },

    close: () => revocation.close(),
  }
}

function requireKeyOptions(keys: KeyOptions): KeyOptions {
  requireMembers(keys, 'keys', ['secrets', 'jwks', 'jwksUri'])
  if (Object.keys(keys).length !== 1) throw new TypeError('keys must have one of secrets, jwks and jwksUri')
  return keys
}

function createRevocation(options: RevocationOptions, clock: Clock): Revocation {
  switch (options?.mode) {
    case 'follow': {
      requireMembers(options, 'revocation', ['mode', 'redis', 'maxStaleness'])
      requireRedisLocation(options.redis)
      const { redis, maxStaleness = 1000 } = options
      if (!(maxStaleness > 0 && maxStaleness < Number.POSITIVE_INFINITY)) {
        throw new TypeError('revocation.maxStaleness must be a number of milliseconds: more than 0')
      }
      return createFollower(redis, maxStaleness, clock)
    }
    case 'lookup':
      requireMembers(options, 'revocation', ['mode', 'redis'])
      requireRedisLocation(options.redis)
      return createLookup(options.redis, clock)
    case 'introspect': {
      requireMembers(options, 'revocation', ['mode', 'endpoint', 'clientId', 'clientSecret', 'cacheSeconds'])
      const { endpoint, clientId, clientSecret, cacheSeconds } = options
      requireHttpUrl(endpoint, 'revocation.endpoint')
      if (!isText(clientId) || !isText(clientSecret)) {
        throw new TypeError('revocation.clientId and revocation.clientSecret must be strings, and not empty')
      }
      if (!(cacheSeconds >= 0 && cacheSeconds < Number.POSITIVE_INFINITY)) {
        throw new TypeError('revocation.cacheSeconds must be a number of seconds: 0 or more')
      }
      return createIntrospection({ endpoint, clientId, clientSecret, cacheSeconds }, clock)
    }
    case 'none':
      requireMembers(options, 'revocation', ['mode'])
      return noRevocation
    default:
      throw new TypeError("revocation.mode must be 'follow', 'lookup', 'introspect' or 'none'")
  }
}

/** A misspelt option would be ignored, and its default would silently apply. */
function requireMembers(options: object, name: string, known: readonly string[]): void {
  if (typeof options !== 'object' || options === null) throw new TypeError(`${name} must be an object`)
  const unknown = Object.keys(options).find((member) => !known.includes(member))
  if (unknown !== undefined) throw new TypeError(`${name}: the option ${unknown} is unknown: use ${known.join(', ')}`)
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== ''
}
