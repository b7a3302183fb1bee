import type { Clock, Moment } from '../clock.js'
import type { Revocation } from '../revocation/revocation.js'
import { createAccessTokenCheck, type VerificationKey } from './access-token.js'
import { type AccessTokenClaims, checkClaims, checkTime } from './claims.js'
import { parseCanonical } from './format.js'
import { parseHeader, splitToken } from './header.js'
import type { KeySource } from './keys.js'
import { createTokenCache } from './token-cache.js'
import { TokenError } from './token-error.js'

/** A check of everything except revocation. */
export interface TokenCheck {
  ready(): Promise<void>
  /** Returns the claims of the token, as a promise only if the check needs I/O. Throws, or rejects with, a TokenError. */
  check(token: string): AccessTokenClaims | Promise<AccessTokenClaims>
}

interface TokenRules {
  issuer: string
  audiences: readonly string[]
}

/** Checks tokens with keys. */
export function createKeyCheck(rules: TokenRules, keys: KeySource, clock: Clock): TokenCheck {
  let checkKeys: readonly VerificationKey[] | undefined
  let checkWithKeys: (token: string) => AccessTokenClaims

  function checkNow(token: string): AccessTokenClaims {
    const current = keys.current()
    if (current !== checkKeys) {
      checkKeys = current
      checkWithKeys = createAccessTokenCheck({ ...rules, keys: current, now: clock.wall })
    }
    return checkWithKeys(token)
  }

  function checkOrRefresh(token: string): AccessTokenClaims | Promise<AccessTokenClaims> {
    try {
      return checkNow(token)
    } catch (error) {
      if (!(error instanceof TokenError && error.code === 'unknown_key')) throw error
      return keys.refresh().then((isRefreshed) => {
        if (!isRefreshed) throw error
        return checkNow(token)
      })
    }
  }

  return {
    ready: () => keys.ready(),

    check(token) {
      const renewal = keys.renew()
      return renewal ? renewal.then(() => checkOrRefresh(token)) : checkOrRefresh(token)
    },
  }
}

/**
 * Checks the form, the claims and the time of tokens, and not their signature. Use this only for a token that the service then
 * introspects: the service checks the signature.
 */
export function createUnsignedCheck(rules: TokenRules, clock: Clock): TokenCheck {
  const audiences = new Set(rules.audiences)
  const claimRules = { issuer: rules.issuer, isAudience: (aud: string) => audiences.has(aud) }
  return {
    ready: async () => {},

    check(token) {
      if (typeof token !== 'string') throw new TokenError('malformed', 'the token is not a string')
      const { header, claims } = splitToken(token)
      parseHeader(header)
      const checked = checkClaims(parseCanonical(claims), claimRules)
      checkTime(checked, clock.wall())
      return checked
    },
  }
}

/** Milliseconds. After this time the service is asked again, because a withdrawn secret must stop working. */
const MAX_CONFIRMATION_AGE = 5 * 60_000

/**
 * Checks tokens with the public keys of the service. For an HS256 token it asks the service, because the shared secret is not
 * public. The answer that the signature is valid is cached for a few minutes. The expiry is checked each time. The verifier
 * checks the revocation each time too.
 */
export function createServiceCheck(
  rules: TokenRules,
  keys: KeySource,
  introspection: Revocation,
  clock: Clock,
): TokenCheck {
  const withKeys = createKeyCheck(rules, keys, clock)
  const unsigned = createUnsignedCheck(rules, clock)
  const confirmed = createTokenCache<{ claims: AccessTokenClaims; sent: Moment }>()

  async function confirm(token: string): Promise<AccessTokenClaims> {
    const claims = await unsigned.check(token)
    const sent = clock.now()
    if (!(await introspection.isLive(claims, token))) {
      throw new TokenError('revoked', 'the service answers that the token is not active: it is forged, or it has ended')
    }
    confirmed.put(token, { claims, sent })
    return claims
  }

  return {
    async ready() {
      await Promise.all([withKeys.ready(), introspection.ready()])
    },

    check(token) {
      if (!isSharedSecretToken(token)) return withKeys.check(token)
      const known = confirmed.get(token)
      if (!known || clock.elapsedSince(known.sent) > MAX_CONFIRMATION_AGE) return confirm(token)
      checkTime(known.claims, clock.wall())
      return known.claims
    },
  }
}

const MAX_CACHED_HEADERS = 64
const headers = new Map<string, boolean>()

/** Whether the header names HS256. Every token of one key has the same header, so each header is parsed once. */
function isSharedSecretToken(token: unknown): boolean {
  if (typeof token !== 'string') return false
  const end = token.indexOf('.')
  if (end <= 0 || end > 512) return false
  const encoded = token.slice(0, end)
  const known = headers.get(encoded)
  if (known !== undefined) return known
  const isShared = parseCanonical(encoded)?.alg === 'HS256'
  if (headers.size < MAX_CACHED_HEADERS) headers.set(encoded, isShared)
  return isShared
}
