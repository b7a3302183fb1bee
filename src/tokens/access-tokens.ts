import {
  type AccessTokenClaims,
  createAccessTokenCheck,
  TokenError,
  type TokenErrorCode,
} from '@latchkey/verifier/access-token'
import type { Jtis } from './jti.js'
import type { KeyRing, Keys, SigningKey } from './key-ring.js'

type Check = (token: string) => AccessTokenClaims

/** Signs claims as a compact JWS, with this key. */
export type SignClaims = (claims: AccessTokenClaims, key: SigningKey) => string

export interface AccessTokenOptions {
  issuer: string
  /** The first is the default. The issuer is an audience too, listed or not. */
  audiences: readonly [string, ...string[]]
  ring: KeyRing
  jtis: Jtis
  /** Milliseconds. */
  accessTtl: number
  sign: SignClaims
  /** Unix milliseconds. */
  now?: () => number
}

export interface AccessTokenGrant {
  sub: string
  /** Left out where a client gets a token for itself. */
  sid?: string
  clientId: string
  scope: string
  audience: string
  roles: readonly string[]
  /** When the session ends, in Unix milliseconds: the token does not outlive it. */
  expiresAt?: number
  /** Unix seconds: `iat` comes after it. */
  issuedAfter?: number
}

export type CheckedToken =
  | { valid: true; claims: AccessTokenClaims }
  | { valid: false; reason: TokenErrorCode; claims?: undefined }

export interface AccessTokens {
  /** The audience of tokens for this service itself. */
  readonly issuer: string
  /** Every audience that a token can have. The first is the default. */
  readonly audiences: readonly [string, ...string[]]
  /** A signed access token and its life in seconds. */
  issue(grant: AccessTokenGrant): { token: string; expiresIn: number }
  /**
   * Whether this service made the token, for an audience of ours, and whether it is in its time. Another service that has the
   * key can sign a token, and cannot make it pass here. Says nothing of its session.
   */
  check(token: string): CheckedToken
  /** Whether other services have the key that signed this token too. Ask it of a token that has passed the check. */
  hasSharedKey(token: string): boolean
  /** The claims of a token of ours that may have expired: good enough to end its session, and for nothing else. */
  readExpired(token: string): AccessTokenClaims | undefined
}

/** Access tokens: JWTs of the RFC 9068 profile. */
export function createAccessTokens(options: AccessTokenOptions): AccessTokens {
  const { issuer, jtis, accessTtl, sign, now = Date.now } = options
  const audiences: AccessTokens['audiences'] = options.audiences.includes(issuer)
    ? options.audiences
    : [...options.audiences, issuer]
  let keys: Keys | undefined
  let checks: { check: Check; checkAllButExpiry: Check }

  /** The checks for the keys of now: made anew when the ring has changed, so that a key that left it verifies nothing. */
  function current() {
    const keysNow = options.ring.keys()
    if (keys !== keysNow) {
      keys = keysNow
      const keysOfRules = keysNow.map(({ verification }) => verification)
      const rules = { issuer, audiences, keys: keysOfRules, isGenuine: jtis.isOurs, now }
      checks = {
        check: createAccessTokenCheck(rules),
        checkAllButExpiry: createAccessTokenCheck({ ...rules, acceptExpired: true }),
      }
    }
    return checks
  }

  return {
    issuer,
    audiences,

    issue({ sub, sid, clientId, scope, audience, roles, expiresAt = Number.POSITIVE_INFINITY, issuedAfter = 0 }) {
      const iat = Math.max(Math.floor(now() / 1000), issuedAfter + 1)
      const exp = Math.min(iat + Math.floor(accessTtl / 1000), Math.floor(expiresAt / 1000))
      const claims = jtis.stamp({
        iss: issuer,
        sub,
        aud: audience,
        exp,
        iat,
        // Its place among the claims.
        jti: '',
        ...(sid !== undefined && { sid }),
        client_id: clientId,
        scope,
        ...(roles.length > 0 && { roles: [...roles] }),
      })
      return { token: sign(claims, options.ring.keys()[0]), expiresIn: Math.max(0, exp - iat) }
    },

    check(token) {
      try {
        return { valid: true, claims: current().check(token) }
      } catch (error) {
        if (error instanceof TokenError) return { valid: false, reason: error.code }
        throw error
      }
    },

    hasSharedKey(token) {
      // The check has held `alg` to the key that the token names.
      const header = Buffer.from(token.slice(0, token.indexOf('.')), 'base64url').toString()
      return (JSON.parse(header) as { alg: unknown }).alg === 'HS256'
    },

    readExpired(token) {
      try {
        return current().checkAllButExpiry(token)
      } catch (error) {
        if (error instanceof TokenError) return undefined
        throw error
      }
    },
  }
}
