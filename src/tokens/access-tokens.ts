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
  /**
   * The claims of a genuine token, whatever its time and audience: good enough to end its session, and for nothing else.
   * `unknown_key`: the token says that it is ours, and no key that is here made it. Undefined: the token is not ours.
   */
  readForRevocation(token: string): AccessTokenClaims | 'unknown_key' | undefined
}

/** Access tokens: JWTs of the RFC 9068 profile. */
export function createAccessTokens(options: AccessTokenOptions): AccessTokens {
  const { issuer, jtis, accessTtl, sign, now = Date.now } = options
  const audiences: AccessTokens['audiences'] = options.audiences.includes(issuer)
    ? options.audiences
    : [...options.audiences, issuer]
  let keys: Keys | undefined
  let checks: { check: Check; checkOrigin: Check }

  /** The checks for the keys of now: made anew when the ring has changed, so that a key that left it verifies nothing. */
  function current() {
    const keysNow = options.ring.keys()
    if (keys !== keysNow) {
      keys = keysNow
      const keysOfRules = keysNow.map(({ verification }) => verification)
      const rules = { issuer, audiences, keys: keysOfRules, isGenuine: jtis.isOurs, now }
      checks = {
        check: createAccessTokenCheck(rules),
        checkOrigin: createAccessTokenCheck({ ...rules, ignoreTimeAndAudience: true }),
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

    readForRevocation(token) {
      try {
        return current().checkOrigin(token)
      } catch (error) {
        if (!(error instanceof TokenError)) throw error
        // The key was removed, or this instance has not read it yet. The session may be alive either way.
        return error.code === 'unknown_key' && unverifiedIssuer(token) === issuer ? 'unknown_key' : undefined
      }
    },
  }
}

/** What a token says of its issuer. Anybody can write that: it decides nothing but which words refuse the token. */
function unverifiedIssuer(token: string): unknown {
  try {
    return JSON.parse(Buffer.from(token.split('.')[1] as string, 'base64url').toString('utf8')).iss
  } catch {
    return undefined
  }
}
