import { requireHttpUrl } from './bounded-fetch.js'
import { authenticateWith, type ClientCredentials } from './client-authentication.js'
import { type Clock, systemClock } from './clock.js'
import { requireAudiences, requireMaxStaleness, requireMembers, requireTexts } from './options.js'
import { createHttpFollower } from './revocation/http-follower.js'
import { createIntrospection } from './revocation/introspect.js'
import { createLookup } from './revocation/lookup.js'
import { type RedisLocation, requireRedisLocation } from './revocation/redis.js'
import { createRedisFollower } from './revocation/redis-follower.js'
import { noRevocation, type Revocation } from './revocation/revocation.js'
import { createServiceVerifier, type ServiceOptions } from './service-verifier.js'
import { createKeys, type KeyOptions, requireKeyOptions } from './token/keys.js'
import { createKeyCheck, createUnsignedCheck } from './token/token-check.js'
import { createTokenVerifier, type Verifier } from './token-verifier.js'

/** How the verifier learns of revocations. There is no default, because none suits every service. */
export type RevocationOptions =
  /**
   * Follows the service's feed at `GET /revocations` and answers from memory. No token is accepted later than `maxStaleness`
   * (milliseconds, default 1000) after its revocation. If the verifier knows less, it introspects each token. If that fails, it
   * refuses the token.
   */
  | (ClientCredentials & {
      mode: 'follow'
      /** The URL of `GET /revocations`. */
      endpoint: string
      maxStaleness?: number
      /** By default `introspect` beside `endpoint`. */
      introspectionEndpoint?: string
    })
  /**
   * Follows the service's feed in Redis and answers from memory. No token is accepted later than `maxStaleness` (milliseconds,
   * default 1000) after its revocation. If the feed is older, each token is looked up in Redis. Without Redis no token is accepted.
   */
  | { mode: 'follow'; redis: RedisLocation; maxStaleness?: number }
  /** Asks Redis about each token: one round trip. */
  | { mode: 'lookup'; redis: RedisLocation }
  /** One of the two, chosen at run time. */
  | { mode: 'follow' | 'lookup'; redis: RedisLocation; maxStaleness?: undefined }
  | IntrospectOptions
  /** Checks no revocation: a revoked token is accepted until it expires. */
  | { mode: 'none' }

/** Asks the service (RFC 7662). An answer is cached for `cacheSeconds`. With 0 the verifier asks about each token. */
export interface IntrospectOptions extends ClientCredentials {
  mode: 'introspect'
  endpoint: string
  cacheSeconds: number
}

interface IssuerOptions {
  /** The expected `iss`: the service's setting `ISSUER`, exactly. */
  issuer: string
  /** The audiences of this service. A token is accepted if its `aud` is one of them. */
  audience: string | readonly string[]
}

const CREDENTIALS = ['clientId', 'clientSecret', 'clientAssertion']
const FOLLOW_MEMBERS = ['mode', 'endpoint', ...CREDENTIALS, 'maxStaleness', 'introspectionEndpoint']

/** Name the service, and the verifier finds the rest. Or name everything. */
export type VerifierOptions =
  | ServiceOptions
  | (IssuerOptions & { keys: KeyOptions; revocation: RevocationOptions })
  /** Without keys the verifier refuses malformed and expired tokens itself. The service checks the signature. */
  | (IssuerOptions & { keys?: undefined; revocation: IntrospectOptions })

/**
 * Creates a verifier of Latchkey's access tokens.
 *
 * ```ts
 * const verifier = createVerifier({
 *   service: 'https://auth.internal',
 *   audience: 'todo',
 *   clientId: 'todo',
 *   clientSecret: process.env.CLIENT_SECRET,
 * })
 * await verifier.ready()
 * const { sub } = await verifier.verify(token)
 * ```
 *
 * @param clock for tests
 * @throws TypeError if an option is missing, unknown or invalid
 */
export function createVerifier(options: VerifierOptions, clock: Clock = systemClock): Verifier {
  if (typeof options === 'object' && options !== null && 'service' in options)
    return createServiceVerifier(options, clock)
  requireMembers(options, 'the options', ['issuer', 'audience', 'keys', 'revocation'])
  const { issuer, keys, revocation } = options
  requireTexts({ issuer })
  const rules = { issuer, audiences: requireAudiences(options.audience) }
  const tokens =
    keys === undefined && revocation?.mode === 'introspect'
      ? createUnsignedCheck(rules, clock)
      : createKeyCheck(rules, createKeys(requireKeyOptions(keys as KeyOptions), clock), clock)
  return createTokenVerifier(tokens, createRevocation(revocation, clock), clock)
}

function createRevocation(options: RevocationOptions, clock: Clock): Revocation {
  switch (options?.mode) {
    case 'follow': {
      const maxStaleness = requireMaxStaleness(options.maxStaleness ?? 1000, 'revocation.maxStaleness')
      if ('endpoint' in options) {
        requireMembers(options, 'revocation', FOLLOW_MEMBERS)
        const { endpoint } = options
        requireHttpUrl(endpoint, 'revocation.endpoint')
        const introspectionEndpoint = options.introspectionEndpoint ?? new URL('introspect', endpoint).href
        requireHttpUrl(introspectionEndpoint, 'revocation.introspectionEndpoint')
        const authentication = authenticateWith(options, 'revocation.')
        const introspection = { endpoint: introspectionEndpoint, authentication, cacheSeconds: 0 }
        const feed = { endpoint, authentication, maxStaleness }
        return createHttpFollower(feed, createIntrospection(introspection, clock), clock)
      }
      requireMembers(options, 'revocation', ['mode', 'redis', 'maxStaleness'])
      requireRedisLocation(options.redis)
      return createRedisFollower(options.redis, maxStaleness, clock)
    }
    case 'lookup':
      requireMembers(options, 'revocation', ['mode', 'redis'])
      requireRedisLocation(options.redis)
      return createLookup(options.redis, clock)
    case 'introspect': {
      requireMembers(options, 'revocation', ['mode', 'endpoint', ...CREDENTIALS, 'cacheSeconds'])
      const { endpoint, cacheSeconds } = options
      requireHttpUrl(endpoint, 'revocation.endpoint')
      if (!(cacheSeconds >= 0 && cacheSeconds < Number.POSITIVE_INFINITY)) {
        throw new TypeError('revocation.cacheSeconds must be a number of seconds: 0 or more')
      }
      return createIntrospection(
        { endpoint, authentication: authenticateWith(options, 'revocation.'), cacheSeconds },
        clock,
      )
    }
    case 'none':
      requireMembers(options, 'revocation', ['mode'])
      return noRevocation
    default:
      throw new TypeError("revocation.mode must be 'follow', 'lookup', 'introspect' or 'none'")
  }
}
