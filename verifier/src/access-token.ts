import { isUtf8 } from 'node:buffer'
import { type VerificationKey, verificationKeyFromJwk } from './jwk.js'
import { createSignatureCheck, type SignatureCheck } from './signature.js'
import { createTokenMemory } from './token-memory.js'

export type { VerificationKey } from './jwk.js'

/** The claims of an access token (RFC 9068 §2.2), checked. Times are Unix seconds. */
export interface AccessTokenClaims {
  iss: string
  sub: string
  aud: string
  exp: number
  iat: number
  jti: string
  /**
   * The session that this token belongs to: what a revocation names. A token that a client got for itself has none; there
   * `sub` is the client.
   */
  sid?: string
  client_id: string
  /** Space-separated; may be empty. */
  scope: string
  roles?: string[]
}

/** Why a token was refused. Stable: callers may switch on it. Never show it to who sent the token. */
export type TokenErrorCode =
  | 'malformed'
  | 'unsupported_header'
  | 'unknown_key'
  | 'bad_signature'
  | 'bad_claims'
  | 'wrong_issuer'
  | 'wrong_audience'
  | 'expired'
  | 'not_yet_valid'
  /** The token, or its session, has been revoked. */
  | 'revoked'
  /** Whether the token is good cannot be found out now. */
  | 'unavailable'

export class TokenError extends Error {
  override readonly name = 'TokenError'
  constructor(
    readonly code: TokenErrorCode,
    message: string,
  ) {
    super(message)
  }
}

/**
 * A shared HS256 secret as a verification key. Its `kid` is the RFC 7638 thumbprint of its JWK, so that everyone who has
 * the secret finds the same.
 */
export function sharedSecretKey(secret: string): VerificationKey {
  return verificationKeyFromJwk({ kty: 'oct', k: Buffer.from(secret, 'utf8').toString('base64url') })
}

export interface AccessTokenCheckOptions {
  /** `iss`, compared as a string, exactly. */
  issuer: string
  /** A token is for us when its `aud` is one of these. */
  audiences: readonly string[]
  keys: readonly VerificationKey[]
  /**
   * Takes a genuine token of any time and for any audience. Only for a caller that ends what the token stands for: a token that
   * is not valid yet, or not for us, must not open anything.
   */
  ignoreTimeAndAudience?: boolean
  /**
   * A proof beyond the signature, asked of well-formed claims. Where the key is shared, the issuer alone can tell its own
   * tokens from those that another service signed with the key.
   */
  isGenuine?: (claims: AccessTokenClaims) => boolean
  /** Unix milliseconds. */
  now?: () => number
}

/** Longest compact token that is looked at, in characters. */
export const MAX_TOKEN_LENGTH = 8192
/** What `iat` and `nbf` may lie in the future, in seconds: clocks differ. `exp` gets no leeway. */
export const CLOCK_LEEWAY = 5
/** Longest lifetime that a token may claim, in seconds. The service's ACCESS_TTL cannot be set past it. */
export const MAX_LIFETIME = 24 * 60 * 60

// A header names nothing but these: so jwk, jku, x5u, x5c (keys that the sender chose), crit and b64 are refused
// together, and whatever is invented next.
const HEADER_MEMBERS = new Set(['alg', 'typ', 'kid'])
const TYPES = new Set(['at+jwt', 'application/at+jwt'])
const COMPACT = /^([\w-]+)\.([\w-]+)\.([\w-]+)$/
const MAX_KNOWN_HEADERS = 64
/** Levels of objects and lists in the claims: whoever walks them after us has a stack too. */
const MAX_DEPTH = 8
/** Ids become Redis keys, SQL parameters and HTTP headers: what one of these cannot carry is no id of ours. */
const ID = /^[!-~]+$/
/** RFC 6749 §3.3. */
const SCOPE = /^(?:[!#-[\]-~]+(?: [!#-[\]-~]+)*)?$/
/** As a scope: lists of roles are written with spaces between them too, where one with a space would be two. */
const ROLE = /^[!#-[\]-~]+$/

/**
 * Makes the function that checks an access token's form, signature and claims (RFC 7519 §7.2, RFC 8725, RFC 9068 §4).
 * It knows nothing of revocation. It does no I/O.
 *
 * The returned function answers with the claims, or throws a {@link TokenError}.
 */
export function createAccessTokenCheck(options: AccessTokenCheckOptions): (token: string) => AccessTokenClaims {
  const { issuer, ignoreTimeAndAudience = false, isGenuine = () => true, now = Date.now } = options
  // From JavaScript, a setting that is not there would be equal to a claim that is not there.
  if (typeof issuer !== 'string' || issuer === '') throw new TypeError('issuer must be a string, and not empty')
  if (!Array.isArray(options.audiences)) throw new TypeError('audiences must be a list')
  const audiences = new Set(options.audiences)
  const signatures = new Map(options.keys.map((key) => [key.kid, { alg: key.alg, check: createSignatureCheck(key) }]))
  // Every honest token of one key carries the same header, to the byte: parse it once.
  const knownHeaders = new Map<string, SignatureCheck>()
  // A signature does not change its mind, and neither do the claims below it: only their time is asked again.
  const checked = createTokenMemory<AccessTokenClaims>()

  return (token) => {
    // An object may read differently each time that it is asked for its text.
    if (typeof token !== 'string') throw new TokenError('malformed', 'the token is no string')
    let claims = checked.recall(token)
    if (!claims) {
      claims = checkToken(token)
      checked.remember(token, claims)
    }
    return checkTime(claims)
  }

  /** All that never changes of a token: its form, its signature, and its claims but for their time. */
  function checkToken(token: string): AccessTokenClaims {
    if (token.length > MAX_TOKEN_LENGTH) throw new TokenError('malformed', 'the token is longer than 8192 characters')
    const parts = COMPACT.exec(token)
    if (!parts) throw new TokenError('malformed', 'not a compact JWS')
    const [, header, claims, signature] = parts as unknown as [string, string, string, string]
    // Trailing bits that a decoder drops would let one signature be written in several ways.
    if (!isCanonicalBase64url(signature)) throw new TokenError('malformed', 'the signature is not canonical base64url')

    let isSignature = knownHeaders.get(header)
    if (!isSignature) {
      isSignature = signatureCheckFor(header)
      if (knownHeaders.size < MAX_KNOWN_HEADERS) knownHeaders.set(header, isSignature)
    }
    if (!isSignature(token.slice(0, -signature.length - 1), signature)) {
      throw new TokenError('bad_signature', 'the signature does not verify')
    }
    const value = checkClaims(parseCanonical(claims))
    // Made by another service that has the key, or with a secret that the issuer has no more: it cannot tell which.
    if (!isGenuine(value)) throw new TokenError('unknown_key', 'the issuer knows no secret that made this token')
    return value
  }

  function signatureCheckFor(encodedHeader: string): SignatureCheck {
    const header = parseCanonical(encodedHeader)
    if (!header) throw new TokenError('malformed', 'the header is not a JSON object written plainly')
    for (const member of Object.keys(header)) {
      if (!HEADER_MEMBERS.has(member)) throw new TokenError('unsupported_header', 'the header has a member not known')
    }
    if (typeof header.typ !== 'string' || !TYPES.has(header.typ)) {
      throw new TokenError('unsupported_header', 'typ is not at+jwt')
    }
    const key = typeof header.kid === 'string' ? signatures.get(header.kid) : undefined
    if (!key) throw new TokenError('unknown_key', 'kid names no key of ours')
    if (header.alg !== key.alg) throw new TokenError('unsupported_header', 'alg is not the one of this key')
    return key.check
  }

  function checkClaims(value: Record<string, unknown> | undefined): AccessTokenClaims {
    if (!value || !isHarmless(value)) {
      throw new TokenError('bad_claims', 'the claims are not a JSON object written plainly')
    }
    const { iss, sub, aud, exp, iat, nbf, jti, sid, client_id, scope, roles } = value
    if (iss !== issuer) throw new TokenError('wrong_issuer', 'iss is not this issuer')
    // Our tokens have one audience: an array is not ours.
    if (typeof aud !== 'string' || !(ignoreTimeAndAudience || audiences.has(aud))) {
      throw new TokenError('wrong_audience', 'aud is not for us')
    }
    if (!isId(sub) || !isId(jti) || !isId(client_id) || typeof scope !== 'string' || !SCOPE.test(scope)) {
      throw new TokenError('bad_claims', 'sub, jti, client_id or scope is missing or not of its form')
    }
    if (sid === undefined ? sub !== client_id : !isId(sid)) {
      throw new TokenError('bad_claims', 'sid is missing from a token that is not a client’s own, or is no id')
    }
    if (roles !== undefined && !(Array.isArray(roles) && roles.every(isRole))) {
      throw new TokenError('bad_claims', 'roles is not a list of names')
    }
    // NumericDate may have a fraction (RFC 7519 §2); ours never do, so a fraction is not ours.
    if (!isTime(exp) || !isTime(iat) || (nbf !== undefined && !isTime(nbf))) {
      throw new TokenError('bad_claims', 'exp, iat or nbf is missing or no whole number of seconds')
    }
    if (exp - iat > MAX_LIFETIME) throw new TokenError('bad_claims', 'exp is past the longest lifetime')
    return frozen(value) as unknown as AccessTokenClaims
  }

  function checkTime(claims: AccessTokenClaims): AccessTokenClaims {
    if (ignoreTimeAndAudience) return claims
    const { exp, iat, nbf = 0 } = claims as AccessTokenClaims & { nbf?: number }
    const seconds = now() / 1000
    // "Not before" rather than "after": a clock that answers NaN opens nothing.
    if (!(seconds < exp)) throw new TokenError('expired', 'the token has expired')
    if (!(Math.max(iat, nbf) <= seconds + CLOCK_LEEWAY)) {
      throw new TokenError('not_yet_valid', 'the token is not valid yet')
    }
    return claims
  }
}

const BASE64URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

function isCanonicalBase64url(text: string): boolean {
  const spare = text.length % 4
  if (spare === 1) return false
  const last = BASE64URL.indexOf(text.charAt(text.length - 1))
  return spare === 0 || (spare === 2 ? (last & 15) === 0 : (last & 3) === 0)
}

/**
 * The JSON object that `encoded` is what an issuer writes for, and nothing else is. A member given twice, white space, a
 * byte order mark, invalid UTF-8, 1e400 or spare bits: two parsers may read each of them in two ways, and none survives
 * the round trip. A control character or a lone surrogate would survive as an escape, and split a line of somebody's log.
 */
function parseCanonical(encoded: string): Record<string, unknown> | undefined {
  if (!isCanonicalBase64url(encoded)) return undefined
  const bytes = Buffer.from(encoded, 'base64url')
  if (!isUtf8(bytes)) return undefined
  const json = bytes.toString('utf8')
  if (json.includes('\\') && json.replace(ORDINARY_ESCAPE, '').includes('\\')) return undefined
  try {
    const value: unknown = JSON.parse(json)
    return isObject(value) && JSON.stringify(value) === json ? value : undefined
  } catch {
    return undefined
  }
}

/** `JSON.stringify` escapes control characters and lone surrogates; of the rest, these two alone. */
const ORDINARY_ESCAPE = /\\["\\]/g

/** Whether the shape of the claims is safe for whoever copies or walks them after us. */
function isHarmless(claims: object, depth = MAX_DEPTH): boolean {
  if (depth === 0) return false
  for (const name in claims) {
    // Copied into another object, such a member reaches its prototype.
    if (name === '__proto__' || name === 'constructor') return false
    const inner = claims[name as keyof typeof claims] as unknown
    if (typeof inner === 'object' && inner !== null && !isHarmless(inner, depth - 1)) return false
  }
  return true
}

/** Claims are handed out again and again: one caller's change, however deep, would be the next one's claim. */
function frozen<Value extends object>(value: Value): Value {
  for (const inner of Object.values(value)) if (typeof inner === 'object' && inner !== null) frozen(inner)
  return Object.freeze(value)
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Whether this can be the id of a subject, a session, a token or a client. */
export function isId(value: unknown): value is string {
  return typeof value === 'string' && ID.test(value)
}

function isRole(value: unknown): value is string {
  return typeof value === 'string' && ROLE.test(value)
}

function isTime(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) > 0
}
