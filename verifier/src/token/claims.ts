import { TokenError } from './token-error.js'

/** The checked claims of an access token (RFC 9068 §2.2). Times are Unix seconds. */
export interface AccessTokenClaims {
  iss: string
  sub: string
  aud: string
  exp: number
  iat: number
  jti: string
  /** The session of the token. A revocation names it. A token that a client got for itself has none; its `sub` is the client. */
  sid?: string
  client_id: string
  /** Scopes, separated by spaces (RFC 6749 §3.3). May be empty. */
  scope: string
  roles?: string[]
  /** The time of the last authentication of the person in this session. A token that a client got for itself has none. */
  auth_time?: number
  /** The methods of that authentication (RFC 8176): `pwd`, `otp`, `hwk`, `swk`, `mfa`. */
  amr?: string[]
  /** `1`: one factor. `2`: two factors, or a passkey with user verification. */
  acr?: string
  /** Who acts for the user (RFC 8693 §4.1), if a client got the token by token exchange. */
  act?: Actor
}

/** A client that acts for the user. Its own `act` is the client that acted before it. */
export interface Actor {
  sub: string
  act?: Actor
}

/**
 * The `client_id` of tokens for a user who signed in without a client (RFC 9068 §2.2). Every client may refresh such a
 * session, and no client can have this id.
 */
export const FIRST_PARTY_CLIENT_ID = 'latchkey'

/** Seconds by which `iat` and `nbf` may lie in the future, because clocks differ. `exp` has no leeway. */
export const CLOCK_LEEWAY = 5
/** The longest lifetime of a token, in seconds. The setting ACCESS_TTL cannot exceed it. */
export const MAX_LIFETIME = 24 * 60 * 60

/** The longest chain of actors in a token. */
export const MAX_ACTORS = 4

/** The most levels of objects and lists in the claims: code that walks the claims recursively has a limited stack. */
const MAX_DEPTH = 8
/** Ids become Redis keys, SQL parameters and HTTP headers. Characters that one of these cannot carry are refused. */
const ID = /^[!-~]+$/
/** One scope (RFC 6749 §3.3): printable ASCII without space, double quote and backslash. It may stand in a quoted string of a header. */
const SCOPE_TOKEN = '[!#-[\\]-~]+'
const ONE_SCOPE = new RegExp(`^${SCOPE_TOKEN}$`)
const SCOPES = new RegExp(`^(?:${SCOPE_TOKEN}(?: ${SCOPE_TOKEN})*)?$`)

/** Whether the text is one scope. Roles and audiences obey this rule too, because they are also written as lists with spaces. */
export const isScopeToken = (text: string): boolean => ONE_SCOPE.test(text)

interface ClaimRules {
  /** The expected `iss`. */
  issuer: string
  /** Whether this audience is accepted. */
  isAudience(aud: string): boolean
}

/**
 * Checks the claims of an access token (RFC 9068 §4), except for their time.
 *
 * @throws TokenError
 */
export function checkClaims(value: Record<string, unknown> | undefined, rules: ClaimRules): AccessTokenClaims {
  if (!value || !hasSafeShape(value)) {
    throw new TokenError('bad_claims', 'the claims are not a JSON object in canonical form')
  }
  const { iss, sub, aud, exp, iat, nbf, jti, sid, client_id, scope, roles, auth_time, amr, acr, act } = value
  if (iss !== rules.issuer) throw new TokenError('wrong_issuer', 'iss is not the expected issuer')
  // This service writes `aud` as one string. An array is from another issuer.
  if (typeof aud !== 'string' || !rules.isAudience(aud)) {
    throw new TokenError('wrong_audience', 'aud is not an expected audience')
  }
  if (!isId(sub) || !isId(jti) || !isId(client_id) || typeof scope !== 'string' || !SCOPES.test(scope)) {
    throw new TokenError('bad_claims', 'sub, jti, client_id or scope is missing or invalid')
  }
  if (sid === undefined ? sub !== client_id : !isId(sid)) {
    throw new TokenError('bad_claims', 'sid is invalid, or is missing although sub is not the client')
  }
  if (roles !== undefined && !(Array.isArray(roles) && roles.every(isRole))) {
    throw new TokenError('bad_claims', 'roles is not a list of role names')
  }
  if (act !== undefined && !isActor(act, MAX_ACTORS)) {
    throw new TokenError('bad_claims', 'act is not a chain of at most 4 clients')
  }
  if (
    (auth_time !== undefined && !isTime(auth_time)) ||
    (amr !== undefined && !(Array.isArray(amr) && amr.every(isRole))) ||
    (acr !== undefined && !isRole(acr))
  ) {
    throw new TokenError('bad_claims', 'auth_time, amr or acr is invalid')
  }
  // A NumericDate may have a fraction (RFC 7519 §2), but this service never writes one.
  if (!isTime(exp) || !isTime(iat) || (nbf !== undefined && !isTime(nbf))) {
    throw new TokenError('bad_claims', 'exp, iat or nbf is missing or not a whole number of seconds')
  }
  if (exp - iat > MAX_LIFETIME) throw new TokenError('bad_claims', 'exp exceeds the longest lifetime of a token')
  return deepFreeze(value) as unknown as AccessTokenClaims
}

interface TimeClaims {
  exp: number
  iat?: number
  nbf?: number
}

/**
 * Checks `exp`, `iat` and `nbf` (RFC 7519 §4.1).
 *
 * @param now Unix milliseconds
 * @throws TokenError
 */
export function checkTime({ exp, iat = 0, nbf = 0 }: TimeClaims, now: number): void {
  const seconds = now / 1000
  // Each condition is negated, so that a clock that returns NaN accepts nothing.
  if (!(seconds < exp)) throw new TokenError('expired', 'the token has expired')
  if (!(Math.max(iat, nbf) <= seconds + CLOCK_LEEWAY)) {
    throw new TokenError('not_yet_valid', 'the token is not valid yet')
  }
}

/** Whether the value has the form of an id of a subject, a session, a token or a client. */
export function isId(value: unknown): value is string {
  return typeof value === 'string' && ID.test(value)
}

/** Whether code that copies or walks the claims later is safe. */
export function hasSafeShape(claims: object, depth = MAX_DEPTH): boolean {
  if (depth === 0) return false
  for (const name in claims) {
    // If code copies such a member into another object, it may change the object's prototype.
    if (name === '__proto__' || name === 'constructor') return false
    const inner = claims[name as keyof typeof claims] as unknown
    if (typeof inner === 'object' && inner !== null && !hasSafeShape(inner, depth - 1)) return false
  }
  return true
}

/** Freezes the claims, because the token cache returns the same object to several callers. */
function deepFreeze<Value extends object>(value: Value): Value {
  for (const inner of Object.values(value)) if (typeof inner === 'object' && inner !== null) deepFreeze(inner)
  return Object.freeze(value)
}

/** Whether the value is a chain of at most so many actors. */
function isActor(value: unknown, most: number): value is Actor {
  if (most === 0 || typeof value !== 'object' || value === null) return false
  const { sub, act } = value as Record<string, unknown>
  return isId(sub) && (act === undefined || isActor(act, most - 1))
}

function isRole(value: unknown): value is string {
  return typeof value === 'string' && isScopeToken(value)
}

/** Whether the value is a whole number of seconds after 1970. */
export function isTime(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) > 0
}
