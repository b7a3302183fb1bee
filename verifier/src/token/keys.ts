import { fetchFailure, fetchJson, type JsonResponse, requireHttpUrl } from '../bounded-fetch.js'
import type { Clock, Moment } from '../clock.js'
import { requireMembers } from '../options.js'
import { sharedSecretKey } from './access-token.js'
import { MAX_LIFETIME } from './claims.js'
import { isCanonicalBase64url } from './format.js'
import { type Jwk, type VerificationKey, verificationKeyFromJwk } from './jwk.js'
import { TokenError } from './token-error.js'

/** A JWK Set (RFC 7517 §5). */
export interface Jwks {
  keys: readonly Jwk[]
}

/** The source of the keys. Give exactly one. */
export type KeyOptions =
  /** Shared HS256 secrets, or the secrets of one audience that `latchkey keys secret` prints. Each has 32 bytes or more. */
  | { secrets: readonly (string | undefined)[] }
  /** Public keys. They stay the same while the process runs. */
  | { jwks: Jwks }
  /** The URL of the service's `/.well-known/jwks.json`. The verifier fetches the keys again regularly. */
  | { jwksUri: string }

export interface KeySource {
  /** The present keys. The list is another object if and only if the keys have changed. */
  current(): readonly VerificationKey[]
  /**
   * Fetches the keys again if they are old. If it returns a promise, the present keys are too old to trust: call `current()` only
   * after it. The promise never rejects. If the fetch fails, `current()` returns the old keys until they are a day old.
   */
  renew(): Promise<unknown> | undefined
  /**
   * Call this when a token names an unknown key. Returns true if the keys have been fetched again.
   *
   * @throws TokenError `unavailable` if there are no keys
   */
  refresh(): Promise<boolean>
  ready(): Promise<void>
}

/** @throws TypeError that says which key is invalid and why. The message never contains a key */
export function createKeys(options: KeyOptions, clock: Clock): KeySource {
  if ('secrets' in options) return fixedKeys(keysFromSecrets(options.secrets))
  if ('jwks' in options) return fixedKeys(keysFromJwks(options.jwks))
  requireHttpUrl(options.jwksUri, 'keys.jwksUri')
  return keysFromUrl(options.jwksUri, false, clock)
}

/** The keys at the URL of a service that may have none, because it signs with a shared secret. */
export function createPublishedKeys(jwksUri: string, clock: Clock): KeySource {
  return keysFromUrl(jwksUri, true, clock)
}

/** @throws TypeError if the options do not name exactly one source */
export function requireKeyOptions(keys: KeyOptions): KeyOptions {
  requireMembers(keys, 'keys', ['secrets', 'jwks', 'jwksUri'])
  if (Object.keys(keys).length !== 1) throw new TypeError('keys must have one of secrets, jwks and jwksUri')
  return keys
}

/** Keys that never change. */
export function fixedKeys(keys: readonly VerificationKey[]): KeySource {
  return { current: () => keys, renew: () => undefined, refresh: async () => false, ready: async () => {} }
}

function keysFromSecrets(secrets: readonly (string | undefined)[]): VerificationKey[] {
  if (!Array.isArray(secrets) || secrets.length === 0) throw new TypeError('keys.secrets must be a list, and not empty')
  return secrets.flatMap((secret: string | undefined, index) => {
    const name = `keys.secrets[${index}]`
    if (typeof secret !== 'string') throw new TypeError(`${name} must be a string: check that the variable is set`)
    if (Buffer.byteLength(secret) < 32) throw new TypeError(`${name} is shorter than 32 bytes`)
    // The secret of an audience is the base64url text of its key. A shared secret may look the same, so both readings are
    // keys: a token names one of them by its `kid`.
    return isAudienceSecret(secret)
      ? [sharedSecretKey(secret), verificationKeyFromJwk({ kty: 'oct', k: secret })]
      : [sharedSecretKey(secret)]
  })
}

/** Whether the text is 32 bytes in base64url. */
const isAudienceSecret = (text: string) => /^[\w-]{43}$/.test(text) && isCanonicalBase64url(text)

function keysFromJwks(jwks: Jwks): VerificationKey[] {
  const listed: unknown = jwks?.keys
  if (!Array.isArray(listed) || listed.length === 0) throw new TypeError('keys.jwks must have a list "keys", not empty')
  const keys = listed.map((jwk: Jwk, index) => {
    try {
      if (jwk.d !== undefined) throw new Error('it is a private key: give the public key')
      return verificationKeyFromJwk(jwk)
    } catch (error) {
      throw new TypeError(`keys.jwks.keys[${index}]: ${(error as Error).message}`)
    }
  })
  if (new Set(keys.map(({ kid }) => kid)).size < keys.length)
    throw new TypeError('keys.jwks: two keys have the same kid')
  return keys
}

/** The limits of a request for keys. `timeout` in milliseconds, `size` in bytes. */
export const KEY_FETCH_LIMITS = { timeout: 2000, size: 256 * 1024 }
/** Milliseconds. Older keys are fetched again in the background, and stay in use. */
const REFRESH_AGE = 4 * 60_000
/** Milliseconds. Older keys are used only if fetching fails, because a withdrawn key must stop working. */
const TRUSTED_AGE = 5 * 60_000
/** Milliseconds. While fetching fails, keys stay in use for this time: the longest lifetime of a token that they signed. */
const MAX_AGE = MAX_LIFETIME * 1000
/** Milliseconds between two fetches for unknown key ids: a caller may invent any number of ids. */
const COOL_DOWN = 10_000
const COOL_DOWN_AFTER_FAILURE = 1000
/** Further keys in the set are ignored. */
const MAX_KEYS = 100

function keysFromUrl(url: string, mayBeEmpty: boolean, clock: Clock): KeySource {
  const fetch = () => fetchJson(url, () => ({ headers: { accept: 'application/json' } }), KEY_FETCH_LIMITS, clock)
  return createFetchedKeys(fetch, (jwk) => [verificationKeyFromJwk(jwk)], clock, mayBeEmpty)
}

/**
 * Keys that are fetched, and fetched again regularly and for unknown key ids. Concurrent callers share one fetch.
 *
 * @param fetch one request for the JWK Set
 * @param mayBeEmpty whether a set without a usable key is a success
 * @param parse the keys of one public JWK. It throws if the JWK cannot be used: such a JWK is ignored
 */
export function createFetchedKeys(
  fetch: () => Promise<JsonResponse>,
  parse: (jwk: Jwk) => VerificationKey[],
  clock: Clock,
  mayBeEmpty = false,
): KeySource {
  let keys: readonly VerificationKey[] = []
  /** The time at which the request for the present keys was sent. */
  let fetchedAt: Moment | undefined
  let failedAt: Moment | undefined
  /** During the cool-down, unknown key ids cause no fetch. */
  let coolDown: { since: Moment; length: number } | undefined
  let lastError = 'no fetch has finished yet'
  let inFlight: Promise<boolean> | undefined

  const age = () => (fetchedAt ? clock.elapsedSince(fetchedAt) : 0)
  const isCooledDown = () => !coolDown || clock.elapsedSince(coolDown.since) >= coolDown.length

  function fetchKeys(): Promise<boolean> {
    inFlight ??= fetchNow().finally(() => {
      inFlight = undefined
    })
    return inFlight
  }

  async function fetchNow(): Promise<boolean> {
    try {
      const sentAt = clock.now()
      const { status, body } = await fetch()
      if (status !== 200) throw new Error(`the response has the status ${status}`)
      const found = parsePublicKeys(body, parse)
      // Withdrawn keys must stop working even if no key is left, for example after the service changed to a shared secret.
      if (found.length === 0 && !mayBeEmpty) {
        keys = []
        throw new Error('the JWK Set has no usable key')
      }
      // Keep the same list for the same keys: the cache of checked tokens depends on it.
      if (JSON.stringify(found) !== JSON.stringify(keys)) keys = found
      fetchedAt = sentAt
      failedAt = undefined
      return true
    } catch (error) {
      lastError = fetchFailure(error)
      failedAt = clock.now()
      coolDown = { since: failedAt, length: COOL_DOWN_AFTER_FAILURE }
      return false
    }
  }

  return {
    current() {
      if (age() > MAX_AGE) {
        // Not the same as a set without keys: until the next fetch nobody knows.
        keys = []
        fetchedAt = undefined
      }
      return keys
    },

    renew() {
      if (age() <= REFRESH_AGE) return undefined
      const fetching = inFlight || isCooledDown() ? fetchKeys() : undefined
      // After a failure do not wait: the server may be down for hours.
      const hasFailed = failedAt !== undefined && clock.elapsedSince(failedAt) < TRUSTED_AGE
      return age() > TRUSTED_AGE && !hasFailed ? fetching : undefined
    },

    async refresh() {
      let isFetched = false
      if (inFlight || isCooledDown()) {
        const isFirst = fetchedAt === undefined
        isFetched = await fetchKeys()
        // The first fetch says nothing about the unknown id: the next one may be of a key that was added since.
        if (isFetched && !isFirst) coolDown = { since: clock.now(), length: COOL_DOWN }
      }
      if (keys.length === 0 && !(mayBeEmpty && fetchedAt))
        throw new TokenError('unavailable', `the keys cannot be fetched: ${lastError}`)
      return isFetched
    },

    async ready() {
      if (!(await fetchKeys())) throw new Error(`keys.jwksUri: the keys cannot be fetched: ${lastError}`)
    },
  }
}

/** Parses the public keys of a fetched JWK Set. Unusable keys are ignored (RFC 7517 §5). */
function parsePublicKeys(body: unknown, parse: (jwk: Jwk) => VerificationKey[]): VerificationKey[] {
  const listed = (body as { keys?: unknown } | undefined)?.keys
  if (!Array.isArray(listed)) throw new Error('the response is not a JWK Set')
  const keys = new Map<string, VerificationKey[]>()
  const ambiguous = new Set<string>()
  for (const jwk of listed.slice(0, MAX_KEYS) as Jwk[]) {
    // Ignore a secret or a private key: if it is public, anyone can sign with it.
    if (typeof jwk !== 'object' || jwk === null || jwk.kty === 'oct' || jwk.d !== undefined) continue
    try {
      const parsed = parse(jwk)
      const { kid } = parsed[0] as VerificationKey
      const other = keys.get(kid)
      if (other && JSON.stringify(other) !== JSON.stringify(parsed)) ambiguous.add(kid)
      keys.set(kid, parsed)
    } catch {
      // The type of the key is not supported.
    }
  }
  // If two different keys have the same `kid`, use neither. Otherwise their order would decide which one verifies.
  return [...keys.values()].flat().filter(({ kid }) => !ambiguous.has(kid))
}
