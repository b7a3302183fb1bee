import { type AccessTokenClaims, checkClaims, checkTime } from './claims.js'
import { parseCanonical } from './format.js'
import { parseHeader, splitToken } from './header.js'
import { type VerificationKey, verificationKeyFromJwk } from './jwk.js'
import { createSignatureCheck, type SignatureCheck } from './signature.js'
import { createTokenCache } from './token-cache.js'
import { TokenError } from './token-error.js'

export {
  type AuthenticationDemand,
  authenticationChallenge,
  describeDemand,
  meetsAuthentication,
} from './authentication.js'
export { soleBearerToken } from './bearer.js'
export {
  type AccessTokenClaims,
  type Actor,
  CLOCK_LEEWAY,
  FIRST_PARTY_CLIENT_ID,
  isScopeToken,
  MAX_ACTORS,
  MAX_LIFETIME,
} from './claims.js'
export { MAX_TOKEN_LENGTH } from './header.js'
export type { VerificationKey } from './jwk.js'
export { TokenError, type TokenErrorCode } from './token-error.js'

/**
 * Makes a verification key of a shared HS256 secret. Its `kid` is the thumbprint of its JWK (RFC 7638), so every service
 * with the secret computes the same `kid`.
 *
 * @param secret UTF-8 text of 32 bytes or more
 * @throws Error if the secret is shorter
 */
export function sharedSecretKey(secret: string): VerificationKey {
  return verificationKeyFromJwk({ kty: 'oct', k: Buffer.from(secret, 'utf8').toString('base64url') })
}

export interface AccessTokenCheckOptions {
  /** The expected `iss`. The comparison is exact. */
  issuer: string
  /** A token is accepted if its `aud` is one of these. */
  audiences: readonly string[]
  keys: readonly VerificationKey[]
  /**
   * Accepts a genuine token of any time and audience. Use it only to end what the token stands for, and never to grant access.
   */
  ignoreTimeAndAudience?: boolean
  /**
   * A proof of origin in addition to the signature. With a shared key, only the issuer can distinguish its own tokens from
   * tokens that another service signed. The claims are valid when this function is called.
   */
  isGenuine?: (claims: AccessTokenClaims) => boolean
  /** Returns Unix milliseconds. */
  now?: () => number
}

interface KeyCheck {
  key: VerificationKey
  check: SignatureCheck
}

const MAX_CACHED_HEADERS = 64

/**
 * Makes a function that checks the format, signature and claims of an access token (RFC 7519 §7.2, RFC 8725, RFC 9068 §4).
 * The function does no I/O and does not check revocation. It returns the claims, or throws a {@link TokenError}.
 *
 * @throws TypeError if `issuer` or `audiences` is missing
 */
export function createAccessTokenCheck(options: AccessTokenCheckOptions): (token: string) => AccessTokenClaims {
  const { issuer, ignoreTimeAndAudience = false, isGenuine = () => true, now = Date.now } = options
  // In JavaScript, a missing option would equal a missing claim.
  if (typeof issuer !== 'string' || issuer === '') throw new TypeError('issuer must be a string, and not empty')
  if (!Array.isArray(options.audiences)) throw new TypeError('audiences must be a list')
  const audiences = new Set(options.audiences)
  const claimRules = { issuer, isAudience: (aud: string) => ignoreTimeAndAudience || audiences.has(aud) }
  const signatures = new Map(options.keys.map((key) => [key.kid, { key, check: createSignatureCheck(key) }]))
  // Every genuine token of one key has the same header, byte by byte, so parse each header once.
  const cachedHeaders = new Map<string, KeyCheck>()
  // The signature and the claims of a token never change. Only their time is checked again.
  const cache = createTokenCache<AccessTokenClaims>()

  return (token) => {
    // An object could return another text at each conversion to a string.
    if (typeof token !== 'string') throw new TokenError('malformed', 'the token is not a string')
    let claims = cache.get(token)
    if (!claims) {
      claims = checkToken(token)
      cache.add(token, claims)
    }
    if (!ignoreTimeAndAudience) checkTime(claims, now())
    return claims
  }

  /** Checks everything that never changes: the format, the signature, and the claims except for their time. */
  function checkToken(token: string): AccessTokenClaims {
    const { header, claims, signature } = splitToken(token)
    let by = cachedHeaders.get(header)
    if (!by) {
      by = keyOf(header)
      if (cachedHeaders.size < MAX_CACHED_HEADERS) cachedHeaders.set(header, by)
    }
    if (!by.check(token.slice(0, -signature.length - 1), signature)) {
      throw new TokenError('bad_signature', 'the signature is not valid')
    }
    const checked = checkClaims(parseCanonical(claims), claimRules)
    // Another service has this key for its own audience, and signed a token for this one.
    if (by.key.alg === 'HS256' && (by.key.audience ?? checked.aud) !== checked.aud) {
      throw new TokenError('unknown_key', 'kid is the key of another audience')
    }
    // Another service with the key made the token, or the issuer made it with a secret that was removed since.
    if (!isGenuine(checked)) throw new TokenError('unknown_key', 'no secret of the issuer made this token')
    return checked
  }

  function keyOf(encodedHeader: string): KeyCheck {
    const header = parseHeader(encodedHeader)
    const found = typeof header.kid === 'string' ? signatures.get(header.kid) : undefined
    if (!found) throw new TokenError('unknown_key', 'kid is not the id of a known key')
    if (header.alg !== found.key.alg) {
      throw new TokenError('unsupported_header', 'alg is not the algorithm of this key')
    }
    return found
  }
}
