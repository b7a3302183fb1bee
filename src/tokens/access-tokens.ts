import { type AccessTokenClaims, type Actor, createAccessTokenCheck, TokenError } from '@latchkey/verifier/access-token'
import type { AccountClaims } from './account-claim-name.js'
import type { JtiMac } from './jti-mac.js'
import type { KeyRing, SigningKey, SigningKeys } from './key-ring.js'

type Check = (token: string) => AccessTokenClaims

/** Signs claims with this key. Returns a compact JWS (RFC 7515 §7.1). */
export type SignClaims = (claims: AccessTokenClaims, key: SigningKey) => string

interface AccessTokenOptions {
  issuer: string
  /** The first audience is the default. The issuer is always an audience, even if it is not in this list. */
  audiences: readonly [string, ...string[]]
  ring: KeyRing
  jtiMac: JtiMac
  /** The lifetime of a token in milliseconds. */
  accessTtl: number
  sign: SignClaims
  /** Unix milliseconds. */
  now?: () => number
}

interface AccessTokenInput {
  sub: string
  /** The session. Omitted if a client gets a token for itself. */
  sid?: string
  clientId: string
  scope: string
  audience: string
  roles: readonly string[]
  /** The last authentication of the person, in Unix milliseconds, and its methods (RFC 8176). Omitted for a client. */
  authenticatedAt?: number
  amr?: readonly string[]
  /** The claims of the account that ACCOUNT_CLAIMS names. */
  accountClaims?: AccountClaims | undefined
  /** The end of the session in Unix milliseconds. The token expires then at the latest. */
  expiresAt?: number
  /** Unix seconds. `iat` is later than this time. */
  issuedAfter?: number
}

/** What a token exchange changes. Everything else is as in the subject token. */
interface ExchangeInput {
  clientId: string
  scope: string
  audience: string
  act: Actor
}

export interface AccessTokens {
  /** The issuer, which is also the audience of tokens for this service itself. */
  readonly issuer: string
  /** Every audience that a token may have. The first is the default. */
  readonly audiences: readonly [string, ...string[]]
  /** Issues a JWT access token (RFC 9068 §2). `expiresIn` is its lifetime in seconds. */
  issue(input: AccessTokenInput): { token: string; expiresIn: number }
  /**
   * Issues a token with the person, the session and the roles of `subject`, a token that passed {@link check} (RFC 8693 §2.2). It
   * never outlives `subject`.
   */
  exchange(subject: AccessTokenClaims, input: ExchangeInput): { token: string; expiresIn: number }
  /**
   * The claims of a token that this service issued, for one of {@link audiences}, and that has not expired (RFC 9068 §4). Otherwise
   * undefined, also for a token that another service signed with a shared key. The check says nothing about revocation.
   */
  check(token: string): AccessTokenClaims | undefined
  /** Whether other services also have the key that signed this token. Call it only with a token that passed `check`. */
  hasSharedKey(token: string): boolean
  /**
   * The claims of a genuine token, even if it has expired or has another audience. Use them only to end its session.
   * Returns `unknown_key` if the token names this issuer but no loaded key made it. Returns undefined for any other token.
   */
  readForRevocation(token: string): AccessTokenClaims | 'unknown_key' | undefined
}

/** Issues and checks access tokens: JWTs of the RFC 9068 profile. */
export function createAccessTokens(options: AccessTokenOptions): AccessTokens {
  const { issuer, jtiMac, accessTtl, sign, now = Date.now } = options
  const audiences: AccessTokens['audiences'] = options.audiences.includes(issuer)
    ? options.audiences
    : [...options.audiences, issuer]
  let keys: SigningKeys | undefined
  let checks: { check: Check; checkOrigin: Check }

  /** The checks for the present keys. They are rebuilt when the keys change, so that a removed key verifies nothing. */
  function current() {
    const currentKeys = options.ring.keys()
    if (keys !== currentKeys) {
      keys = currentKeys
      const verificationKeys = currentKeys.map(({ verification }) => verification)
      const rules = { issuer, audiences, keys: verificationKeys, isGenuine: jtiMac.verify, now }
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

    issue({ sub, sid, clientId, scope, audience, roles, authenticatedAt, amr, ...rest }) {
      const { expiresAt = Number.POSITIVE_INFINITY, issuedAfter = 0, accountClaims } = rest
      const iat = Math.max(Math.floor(now() / 1000), issuedAfter + 1)
      const exp = Math.min(iat + Math.floor(accessTtl / 1000), Math.floor(expiresAt / 1000))
      const claims = jtiMac.addJti({
        iss: issuer,
        sub,
        aud: audience,
        exp,
        iat,
        // `addJti` replaces the value. The member must stand here, because the MAC covers the order of the claims.
        jti: '',
        ...(sid !== undefined && { sid }),
        client_id: clientId,
        scope,
        ...(roles.length > 0 && { roles: [...roles] }),
        ...(authenticatedAt !== undefined && { auth_time: Math.floor(authenticatedAt / 1000) }),
        // The method `mfa` means that several factors were checked (RFC 8176 §2).
        ...(amr !== undefined && { amr: [...amr], acr: amr.includes('mfa') ? '2' : '1' }),
        ...accountClaims,
      })
      return { token: sign(claims, options.ring.signingKey(audience)), expiresIn: Math.max(0, exp - iat) }
    },

    exchange(subject, { clientId, scope, audience, act }) {
      const iat = Math.floor(now() / 1000)
      const exp = Math.min(iat + Math.floor(accessTtl / 1000), subject.exp)
      // What the subject token says of the person stays, also claims that a later version adds.
      const claims = { ...subject, aud: audience, exp, iat, client_id: clientId, scope, act }
      return {
        token: sign(jtiMac.addJti(claims), options.ring.signingKey(audience)),
        expiresIn: Math.max(0, exp - iat),
      }
    },

    check(token) {
      try {
        return current().check(token)
      } catch (error) {
        if (error instanceof TokenError) return undefined
        throw error
      }
    },

    hasSharedKey(token) {
      // `check` has verified that `alg` is the algorithm of the key.
      const header = Buffer.from(token.slice(0, token.indexOf('.')), 'base64url').toString()
      return (JSON.parse(header) as { alg: unknown }).alg === 'HS256'
    },

    readForRevocation(token) {
      try {
        return current().checkOrigin(token)
      } catch (error) {
        if (!(error instanceof TokenError)) throw error
        // The key was removed, or this instance has not read it yet. In both cases the session may still live.
        return error.code === 'unknown_key' && unverifiedIssuer(token) === issuer ? 'unknown_key' : undefined
      }
    },
  }
}

/** The `iss` of a token whose signature was not verified. Anyone can write it, so use it only to choose an error message. */
function unverifiedIssuer(token: string): unknown {
  try {
    return JSON.parse(Buffer.from(token.split('.')[1] as string, 'base64url').toString('utf8')).iss
  } catch {
    return undefined
  }
}
