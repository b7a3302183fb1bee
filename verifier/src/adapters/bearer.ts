import {
  type AuthenticationDemand,
  authenticationChallenge,
  describeDemand,
  meetsAuthentication,
} from '../token/authentication.js'
import type { AccessTokenClaims } from '../token/claims.js'
import { TokenError } from '../token/token-error.js'
import type { Verifier } from '../verifier.js'

/** A refusal as it goes over the wire (RFC 6750 §3). Why, in detail, is never in it. */
export interface Refusal {
  status: 401 | 403 | 503
  headers: Readonly<Record<string, string>>
  body: { error: string; error_description: string }
}

export type Bearer =
  | { claims: AccessTokenClaims; refusal?: undefined }
  /** And why, for the log. */
  | { refusal: Refusal; reason: string; claims?: undefined }

/** What decides on requests, the same for every framework. */
export interface BearerRules {
  /** The claims of the token that a request's `Authorization` header bears, or how to refuse it. */
  authenticate(authorization: string | undefined): Promise<Bearer>
  /** How to refuse claims that lack one of these, or undefined. */
  missingScope(claims: AccessTokenClaims, scopes: readonly string[]): Refusal | undefined
  missingRole(claims: AccessTokenClaims, roles: readonly string[]): Refusal | undefined
  /** The challenge to step up (RFC 9470 §3), or undefined. */
  insufficientAuthentication(claims: AccessTokenClaims, demand: AuthenticationDemand): Refusal | undefined
}

/** One space and one token (RFC 6750 §2.1), the scheme's name in any case (RFC 9110 §11.1). */
const BEARER = /^bearer ([\w.~+/-]+=*)$/i
/** RFC 6749 §3.3: what may stand in a scope, and so between quotes in a header. */
const WORD = /^[!#-[\]-~]+$/

export function createBearerRules(verifier: Verifier, realm = 'latchkey'): BearerRules {
  if (!/^[ !#-[\]-~]*$/.test(realm)) throw new TypeError('realm must be of printable ASCII, without " and \\')
  const challenge = `Bearer realm="${realm}"`

  const refuse = (
    status: Refusal['status'],
    error: string,
    description: string,
    headers: Refusal['headers'],
  ): Refusal => ({
    status,
    headers: { 'cache-control': 'no-store', ...headers },
    body: { error, error_description: description },
  })
  // No error code where there were no credentials, or not of our kind (RFC 6750 §3.1).
  const noToken = refuse(401, 'invalid_token', 'send a token: Authorization: Bearer …', {
    'www-authenticate': challenge,
  })
  const invalidToken = refuse(401, 'invalid_token', 'the token is not valid, or its session has ended', {
    'www-authenticate': `${challenge}, error="invalid_token"`,
  })
  const unavailable = refuse(503, 'temporarily_unavailable', 'the token cannot be verified now: try again', {
    'retry-after': '1',
  })

  return {
    async authenticate(authorization = '') {
      if (!/^bearer(?: |$)/i.test(authorization)) return { refusal: noToken, reason: 'no_token' }
      const token = BEARER.exec(authorization)?.[1]
      if (token === undefined) return { refusal: invalidToken, reason: 'malformed' }
      try {
        return { claims: await verifier.verify(token) }
      } catch (error) {
        if (!(error instanceof TokenError)) throw error
        return { refusal: error.code === 'unavailable' ? unavailable : invalidToken, reason: error.message }
      }
    },

    missingScope(claims, scopes) {
      const granted = claims.scope.split(' ')
      if (scopes.every((scope) => granted.includes(scope))) return undefined
      const needed = scopes.join(' ')
      return refuse(403, 'insufficient_scope', `the scope ${needed} is needed`, {
        'www-authenticate': `${challenge}, error="insufficient_scope", scope="${needed}"`,
      })
    },

    // RFC 6750 has no code of its own for a role.
    missingRole(claims, roles) {
      if (roles.every((role) => claims.roles?.includes(role))) return undefined
      return refuse(403, 'insufficient_scope', 'the token is not for this role', {
        'www-authenticate': `${challenge}, error="insufficient_scope"`,
      })
    },

    insufficientAuthentication(claims, demand) {
      if (meetsAuthentication(claims, demand, Date.now())) return undefined
      return refuse(401, 'insufficient_user_authentication', describeDemand(demand), {
        'www-authenticate': `${challenge}, ${authenticationChallenge(demand)}`,
      })
    },
  }
}

/** @throws TypeError where a guard asks for nothing, or for what no token can have */
export function requireWords(words: readonly string[], kind: 'scope' | 'role'): void {
  if (words.length === 0 || !words.every((word) => typeof word === 'string' && WORD.test(word))) {
    throw new TypeError(`name each ${kind} as a string of its own, without spaces and quotes`)
  }
}
