import {
  type AuthenticationDemand,
  authenticationChallenge,
  describeDemand,
  meetsAuthentication,
  requireDemand,
} from '../token/authentication.js'
import { bearerToken } from '../token/bearer.js'
import { type AccessTokenClaims, isScopeToken } from '../token/claims.js'
import { TokenError } from '../token/token-error.js'
import type { Verifier } from '../token-verifier.js'

/** An error response (RFC 6750 §3.1). It never contains the detailed reason. */
export interface Refusal {
  status: 401 | 403 | 503
  headers: Readonly<Record<string, string>>
  body: { error: string; error_description: string }
}

/** The claims of a request's token, or the refusal. `error` is for the log. It is undefined if the request has no token. */
type Authentication =
  | { claims: AccessTokenClaims; refusal?: undefined }
  | { refusal: Refusal; error: TokenError | undefined; claims?: undefined }

export interface GuardOptions<Request> {
  /** The realm in `WWW-Authenticate`. Default: `latchkey`. */
  realm?: string
  /**
   * Is called with each refused token. Log `error.code` and `error.message`: neither contains the token. A wrong audience, for
   * example, shows there and nowhere else.
   */
  onRefused?: (error: TokenError, request: Request) => void
}

/** The decisions about a request, the same in every framework. */
interface BearerRules {
  /** Verifies the token of an `Authorization` header. */
  authenticate(authorization: string | undefined): Promise<Authentication>
  /** The refusal of a token without one of these scopes. Undefined if the token has all of them. */
  missingScope(claims: AccessTokenClaims, scopes: readonly string[]): Refusal | undefined
  /** The refusal of a token without one of these roles. Undefined if the token has all of them. */
  missingRole(claims: AccessTokenClaims, roles: readonly string[]): Refusal | undefined
  /** The challenge to step up (RFC 9470 §3), or undefined. */
  insufficientAuthentication(claims: AccessTokenClaims, demand: AuthenticationDemand): Refusal | undefined
}

/** @throws TypeError if `realm` cannot stand in a header */
export function createBearerRules(verifier: Verifier, realm = 'latchkey'): BearerRules {
  if (!/^[ !#-[\]-~]*$/.test(realm)) throw new TypeError('realm must be printable ASCII, without " and \\')
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
  // Without a bearer token the challenge has no error code (RFC 6750 §3.1).
  const missingToken = refuse(401, 'invalid_token', 'send a token: Authorization: Bearer …', {
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
      if (!/^bearer(?: |$)/i.test(authorization)) return { refusal: missingToken, error: undefined }
      const token = bearerToken(authorization)
      if (token === undefined) {
        return {
          refusal: invalidToken,
          error: new TokenError('malformed', 'the Authorization header has no single token'),
        }
      }
      try {
        return { claims: await verifier.verify(token) }
      } catch (error) {
        if (!(error instanceof TokenError)) throw error
        return { refusal: error.code === 'unavailable' ? unavailable : invalidToken, error }
      }
    },

    missingScope(claims, scopes) {
      const granted = claims.scope.split(' ')
      if (scopes.every((scope) => granted.includes(scope))) return undefined
      const required = scopes.join(' ')
      return refuse(403, 'insufficient_scope', `the token needs the scope ${required}`, {
        'www-authenticate': `${challenge}, error="insufficient_scope", scope="${required}"`,
      })
    },

    // RFC 6750 has no code for a missing role.
    missingRole(claims, roles) {
      if (roles.every((role) => claims.roles?.includes(role))) return undefined
      return refuse(403, 'insufficient_scope', 'the token does not have the required role', {
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

/** Decides about a token that is valid. */
export type Check = (claims: AccessTokenClaims) => Refusal | undefined

/** The guards that every framework has. */
export interface GuardSet<Guard> {
  /** A valid token. */
  requireToken: Guard
  /** A valid token with all of these scopes. */
  requireScope(...scopes: [string, ...string[]]): Guard
  /** A valid token with all of these roles. */
  requireRole(...roles: [string, ...string[]]): Guard
  /** A valid token of a person who authenticated as strongly and as recently as this. Otherwise 401 asks to step up. */
  requireAuthentication(demand: AuthenticationDemand): Guard
}

/** @param guard makes the guard of a framework, which verifies the token of a request and then makes this check */
export function createGuardSet<Guard>(rules: BearerRules, guard: (check: Check) => Guard): GuardSet<Guard> {
  return {
    requireToken: guard(() => undefined),
    requireScope(...scopes) {
      requireNames(scopes, 'scope')
      return guard((claims) => rules.missingScope(claims, scopes))
    },
    requireRole(...roles) {
      requireNames(roles, 'role')
      return guard((claims) => rules.missingRole(claims, roles))
    },
    requireAuthentication(demand) {
      requireDemand(demand)
      return guard((claims) => rules.insufficientAuthentication(claims, demand))
    },
  }
}

/** @throws TypeError if a guard requires nothing, or a name that no token can have */
function requireNames(names: readonly string[], kind: 'scope' | 'role'): void {
  if (names.length === 0 || !names.every((name) => typeof name === 'string' && isScopeToken(name))) {
    throw new TypeError(`give each ${kind} as its own string, without spaces, quotes and backslashes`)
  }
}
