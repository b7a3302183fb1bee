import { fetchFailure, fetchJson, requireHttpUrl } from '../bounded-fetch.js'
import type { Clock, Moment } from '../clock.js'
import { sharedSecretKey, TokenError, type VerificationKey } from './access-token.js'
import { type Jwk, verificationKeyFromJwk } from './jwk.js'

/** A JWK Set (RFC 7517 §5). */
export interface Jwks {
  keys: readonly Jwk[]
}

/** Where the keys come from: one of these. */
export type KeyOptions =
  /** Shared HS256 secrets of 32 bytes or more each. */
  | { secrets: readonly (string | undefined)[] }
  | { jwks: Jwks }
  /** The service's `/.well-known/jwks.json`. */
  | { jwksUri: string }

export interface Keys {
  /** The keys of now: another list when they have changed. */
  current(): readonly VerificationKey[]
  /** Reads the keys again when they are old. A promise: they are too old to be believed before it resolves. */
  renew(): Promise<unknown> | undefined
  /**
   * A token names a key that is not among them: whether they have been read anew since.
   *
   * @throws TokenError `unavailable` where there are no keys at all
   */
  refresh(): Promise<boolean>
  ready(): Promise<void>
}

/** @throws TypeError that says which key is at fault and why; it never repeats a key */
export function createKeys(options: KeyOptions, clock: Clock): Keys {
  if ('secrets' in options) return fixedKeys(keysOfSecrets(options.secrets))
  if ('jwks' in options) return fixedKeys(keysOfSet(options.jwks))
  requireHttpUrl(options.jwksUri, 'keys.jwksUri')
  return keysOfAddress(options.jwksUri, clock)
}

function fixedKeys(keys: readonly VerificationKey[]): Keys {
  return { current: () => keys, renew: () => undefined, refresh: async () => false, ready: async () => {} }
}

function keysOfSecrets(secrets: readonly (string | undefined)[]): VerificationKey[] {
  if (!Array.isArray(secrets) || secrets.length === 0) throw new TypeError('keys.secrets must be a list, and not empty')
  return secrets.map((secret: string | undefined, index) => {
    const name = `keys.secrets[${index}]`
    if (typeof secret !== 'string') throw new TypeError(`${name} must be a string: is the variable set?`)
    if (Buffer.byteLength(secret) < 32) throw new TypeError(`${name} is shorter than 32 bytes`)
    return sharedSecretKey(secret)
  })
}

function keysOfSet(jwks: Jwks): VerificationKey[] {
  const listed: unknown = jwks?.keys
  if (!Array.isArray(listed) || listed.length === 0) throw new TypeError('keys.jwks must have a list "keys", not empty')
  const keys = listed.map((jwk: Jwk, index) => {
    try {
      if (jwk.d !== undefined) throw new Error('it is a private key: give the public one')
      return verificationKeyFromJwk(jwk)
    } catch (error) {
      throw new TypeError(`keys.jwks.keys[${index}]: ${(error as Error).message}`)
    }
  })
  if (new Set(keys.map(({ kid }) => kid)).size < keys.length)
    throw new TypeError('keys.jwks: two keys have the same kid')
  return keys
}

const LIMITS = { timeout: 2000, size: 256 * 1024 }
/** Keys are read again when they are so old, while they still serve. Milliseconds, as everywhere here. */
const REFRESH_AGE = 4 * 60_000
/** Past this age they serve only where they cannot be read again, for a key that was withdrawn must go. */
const TRUSTED_AGE = 5 * 60_000
/** When they cannot be read anew, they serve for so long: as long as the last token lives that they could have signed. */
const LONGEST_AGE = 24 * 60 * 60_000
/** Whoever makes up key ids makes us ask no more often than this. */
const COOL_DOWN = 10_000
const COOL_DOWN_AFTER_FAILURE = 1000
const MOST_KEYS = 100

function keysOfAddress(url: string, clock: Clock): Keys {
  let keys: readonly VerificationKey[] = []
  /** When the address was asked for the keys that we have. */
  let readAt: Moment | undefined
  let failedAt: Moment | undefined
  /** No one makes us ask again until the cool-down is over. */
  let coolDown: { since: Moment; length: number } | undefined
  let trouble = 'they have not been read yet'
  let underWay: Promise<boolean> | undefined

  const age = () => (readAt ? clock.elapsedSince(readAt) : 0)
  const isCool = () => !coolDown || clock.elapsedSince(coolDown.since) >= coolDown.length

  function read(): Promise<boolean> {
    underWay ??= readNow().finally(() => {
      underWay = undefined
    })
    return underWay
  }

  async function readNow(): Promise<boolean> {
    try {
      const asked = clock.now()
      const { status, body } = await fetchJson(url, { headers: { accept: 'application/json' } }, LIMITS, clock)
      if (status !== 200) throw new Error(`the address answered ${status}`)
      const found = publicKeysOf(body)
      // What was withdrawn is withdrawn, also where nothing is left: a service that signs with a shared secret now.
      if (found.length === 0) {
        keys = []
        throw new Error('there is no key among them that can be used')
      }
      // The same keys stay the same list, and what has been checked with them is not checked again.
      if (JSON.stringify(found) !== JSON.stringify(keys)) keys = found
      readAt = asked
      failedAt = undefined
      return true
    } catch (error) {
      trouble = fetchFailure(error)
      failedAt = clock.now()
      coolDown = { since: failedAt, length: COOL_DOWN_AFTER_FAILURE }
      return false
    }
  }

  return {
    current() {
      if (age() > LONGEST_AGE) keys = []
      return keys
    },

    renew() {
      if (age() <= REFRESH_AGE) return undefined
      const reading = underWay || isCool() ? read() : undefined
      // After a failure nobody waits: the address may be away for hours.
      const hasFailed = failedAt !== undefined && clock.elapsedSince(failedAt) < TRUSTED_AGE
      return age() > TRUSTED_AGE && !hasFailed ? reading : undefined
    },

    async refresh() {
      let isRead = false
      if (underWay || isCool()) {
        isRead = await read()
        if (isRead) coolDown = { since: clock.now(), length: COOL_DOWN }
      }
      if (keys.length === 0) throw new TokenError('unavailable', `the keys cannot be read: ${trouble}`)
      return isRead
    },

    async ready() {
      if (!(await read())) throw new Error(`keys.jwksUri: the keys cannot be read: ${trouble}`)
    },
  }
}

/** The public keys of a JWK Set that somebody else wrote. What we cannot use is passed over (RFC 7517 §5). */
function publicKeysOf(body: unknown): VerificationKey[] {
  const listed = (body as { keys?: unknown } | undefined)?.keys
  if (!Array.isArray(listed)) throw new Error('what was answered is no JWK Set')
  const keys = new Map<string, VerificationKey>()
  const ambiguous = new Set<string>()
  for (const jwk of listed.slice(0, MOST_KEYS) as Jwk[]) {
    // A secret, or a private key, that can be read at an address is nobody's any more.
    if (typeof jwk !== 'object' || jwk === null || jwk.kty === 'oct' || jwk.d !== undefined) continue
    try {
      const key = verificationKeyFromJwk(jwk)
      const other = keys.get(key.kid)
      if (other && JSON.stringify(other) !== JSON.stringify(key)) ambiguous.add(key.kid)
      keys.set(key.kid, key)
    } catch {
      // Of a kind that we have no use for.
    }
  }
  // A kid names one key. Which of two a token means would depend on their order, so it means neither.
  return [...keys.values()].filter(({ kid }) => !ambiguous.has(kid))
}
