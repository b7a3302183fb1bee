import { setTimeout as sleep } from 'node:timers/promises'
import { requireHttpUrl } from './bounded-fetch.js'
import { authenticateWith, type ClientCredentials } from './client-authentication.js'
import type { Clock, Moment } from './clock.js'
import { discover } from './discovery.js'
import { requireAudiences, requireMaxStaleness, requireMembers, requireTexts } from './options.js'
import { createHttpFollower } from './revocation/http-follower.js'
import { createIntrospection } from './revocation/introspect.js'
import { createKeys, createPublishedKeys, type KeyOptions, requireKeyOptions } from './token/keys.js'
import { createKeyCheck, createServiceCheck } from './token/token-check.js'
import { TokenError } from './token/token-error.js'
import { createTokenVerifier, type Verifier } from './token-verifier.js'

/** The short form: the verifier finds issuer, keys, feed and introspection in the metadata of the service. */
export interface ServiceOptions extends ClientCredentials {
  /** The URL of the service, by which this process reaches it. */
  service: string
  /** The audiences of this service. A token is accepted if its `aud` is one of them. */
  audience: string | readonly string[]
  /** A client with the scope `introspect`. */
  clientId: string
  /** The age of the verifier's knowledge, in milliseconds, past which it introspects each token. Default: 1000. */
  maxStaleness?: number
  /** The expected `iss`. By default the URL of the service. Set it if this process reaches the service by another URL. */
  issuer?: string
  /** By default the public keys of the service. The verifier asks the service about tokens that a shared secret signed. */
  keys?: KeyOptions
}

const MEMBERS = ['service', 'audience', 'clientId', 'clientSecret', 'clientAssertion', 'maxStaleness', 'issuer', 'keys']
/** Milliseconds that `ready` waits for the metadata. */
const READY_TIMEOUT = 5000
/** Milliseconds between two attempts to fetch the metadata. */
const RETRY_INTERVAL = 500

/** @throws TypeError if an option is missing, unknown or invalid */
export function createServiceVerifier(options: ServiceOptions, clock: Clock): Verifier {
  requireMembers(options, 'the options', MEMBERS)
  const { service, issuer, keys: keyOptions } = options
  requireHttpUrl(service, 'service')
  const audiences = requireAudiences(options.audience)
  const authentication = authenticateWith(options)
  if (issuer !== undefined) requireTexts({ issuer })
  const maxStaleness = requireMaxStaleness(options.maxStaleness ?? 1000, 'maxStaleness')
  const givenKeys = keyOptions && createKeys(requireKeyOptions(keyOptions), clock)

  /** Undefined until the metadata has been fetched. */
  let verifier: Verifier | undefined
  let discovering: Promise<Verifier> | undefined
  let failure: { at: Moment; error: Error } | undefined
  let isClosed = false
  // Begin now, so that the first request need not wait.
  connect().catch(() => {})

  async function connectNow(): Promise<Verifier> {
    const found = await discover(service, issuer, clock)
    if (isClosed) throw new Error('the verifier is closed')
    const rules = { issuer: found.issuer, audiences }
    const introspection = createIntrospection(
      { endpoint: found.introspectionEndpoint, authentication, cacheSeconds: 0 },
      clock,
    )
    const feed = { endpoint: found.feedEndpoint, authentication, maxStaleness }
    verifier = createTokenVerifier(
      givenKeys
        ? createKeyCheck(rules, givenKeys, clock)
        : createServiceCheck(rules, createPublishedKeys(found.jwksUri, clock), introspection, clock),
      createHttpFollower(feed, introspection, clock),
      clock,
    )
    return verifier
  }

  function connect(): Promise<Verifier> {
    if (isClosed) return Promise.reject(new Error('the verifier is closed'))
    if (failure && clock.elapsedSince(failure.at) < RETRY_INTERVAL) return Promise.reject(failure.error)
    discovering ??= connectNow()
      .catch((error: Error) => {
        failure = { at: clock.now(), error }
        throw error
      })
      .finally(() => {
        discovering = undefined
      })
    return discovering
  }

  async function connectForToken(): Promise<Verifier> {
    try {
      return verifier ?? (await connect())
    } catch (error) {
      throw new TokenError('unavailable', (error as Error).message)
    }
  }

  return {
    async ready() {
      const began = clock.now()
      while (!verifier) {
        try {
          await connect()
        } catch (error) {
          if (isClosed || clock.elapsedSince(began) > READY_TIMEOUT) throw error
          await sleep(50)
        }
      }
      await verifier.ready()
    },

    verify: (token) => (verifier ? verifier.verify(token) : connectForToken().then((made) => made.verify(token))),

    get malformedFeedEntries() {
      return verifier?.malformedFeedEntries ?? 0
    },

    async close() {
      isClosed = true
      await discovering?.catch(() => {})
      await verifier?.close()
    },
  }
}
