import { randomBytes } from 'node:crypto'
import {
  type AccessTokenClaims,
  createAccessTokenCheck,
  sharedSecretKey,
  TokenError,
  type TokenErrorCode,
} from '@latchkey/verifier/access-token'

/** Signs claims as a compact JWS with the key that signs now. */
export type SignClaims = (claims: AccessTokenClaims) => string

export interface AccessTokenOptions {
  issuer: string
  audiences: readonly string[]
  /** HS256 shared secrets. All verify. */
  secrets: readonly string[]
  /** Milliseconds. */
  accessTtl: number
  sign: SignClaims
  /** Unix milliseconds. */
  now?: () => number
}

export interface AccessTokenGrant {
  sub: string
  sid: string
  clientId: string
  scope: string
  audience: string
  roles: readonly string[]
  /** When the session ends, in Unix milliseconds: the token does not outlive it. */
  expiresAt: number
}

export type CheckedToken =
  | { valid: true; claims: AccessTokenClaims }
  | { valid: false; reason: TokenErrorCode; claims?: undefined }

export interface AccessTokens {
  /** A signed access token and its life in seconds. */
  issue(grant: AccessTokenGrant): { token: string; expiresIn: number }
  /** Whether the token is one of ours, for an audience of ours, and in its time. Says nothing of its session. */
  check(token: string): CheckedToken
  /** The claims of a token of ours that may have expired: good enough to end its session, and for nothing else. */
  readExpired(token: string): AccessTokenClaims | undefined
}

/** Access tokens: JWTs of the RFC 9068 profile. */
export function createAccessTokens(options: AccessTokenOptions): AccessTokens {
  const { issuer, audiences, accessTtl, sign, now = Date.now } = options
  const rules = { issuer, audiences, keys: options.secrets.map(sharedSecretKey), now }
  const check = createAccessTokenCheck(rules)
  const checkAllButExpiry = createAccessTokenCheck({ ...rules, acceptExpired: true })

  return {
    issue({ sub, sid, clientId, scope, audience, roles, expiresAt }) {
      const iat = Math.floor(now() / 1000)
      const exp = Math.min(iat + Math.floor(accessTtl / 1000), Math.floor(expiresAt / 1000))
      const claims: AccessTokenClaims = {
        iss: issuer,
        sub,
        aud: audience,
        exp,
        iat,
        jti: randomBytes(16).toString('base64url'),
        sid,
        client_id: clientId,
        scope,
        ...(roles.length > 0 && { roles: [...roles] }),
      }
      return { token: sign(claims), expiresIn: Math.max(0, exp - iat) }
    },

    check(token) {
      try {
        return { valid: true, claims: check(token) }
      } catch (error) {
        if (error instanceof TokenError) return { valid: false, reason: error.code }
        throw error
      }
    },

    readExpired(token) {
      try {
        return checkAllButExpiry(token)
      } catch (error) {
        if (error instanceof TokenError) return undefined
        throw error
      }
    },
  }
}
