import {
  CLOCK_LEEWAY,
  checkTime,
  isId,
  isTime,
  MAX_LIFETIME,
  TokenError,
  type UnverifiedAssertion,
} from '@latchkey/verifier/assertion'

/** Seconds that `exp` of a client's own assertion may lie ahead. */
const MAX_EXPIRY_AHEAD = 5 * 60

/** RFC 7523 names no type. Its revision names the second one, so that no other JWT of the client passes for an assertion. */
const TYPES = new Set([undefined, 'JWT', 'client-authentication+jwt', 'application/client-authentication+jwt'])

/** What a client's own assertion says, with valid claims. */
interface ClientAssertion {
  clientId: string
  jti: string
  /** Unix milliseconds. */
  expiresAt: number
  /** Unix milliseconds. The service cannot have accepted the assertion before this time. */
  notBefore: number
}

/**
 * Checks the claims of an assertion that a client signs itself (RFC 7523 §3).
 *
 * @param audiences the accepted `aud`. A list is refused: another service on it could present the assertion here
 * @param now Unix milliseconds
 * @throws TokenError
 */
export function checkClientAssertion(
  { header, claims }: UnverifiedAssertion,
  audiences: readonly string[],
  now: number,
): ClientAssertion {
  if (!TYPES.has(header.typ as string | undefined)) throw wrongType()
  refuseActor(claims)
  const { iss, sub, aud, jti } = claims
  const { exp, iat } = timesOf(claims)
  if (!isId(sub) || iss !== sub) throw new TokenError('wrong_issuer', 'iss and sub must both be the id of the client')
  if (typeof aud !== 'string' || !audiences.includes(aud)) {
    throw new TokenError('wrong_audience', 'aud is not the issuer, as one string')
  }
  if (!isId(jti)) throw new TokenError('bad_claims', 'jti is missing or invalid')
  checkTime(timesOf(claims), now)
  if (exp > now / 1000 + MAX_EXPIRY_AHEAD + CLOCK_LEEWAY) {
    throw new TokenError('bad_claims', 'exp lies more than 5 minutes ahead')
  }
  return {
    clientId: sub,
    jti,
    expiresAt: exp * 1000,
    notBefore: Math.max(iat ?? 0, exp - MAX_EXPIRY_AHEAD - CLOCK_LEEWAY) * 1000,
  }
}

/**
 * Checks the claims of a token of a trusted issuer.
 *
 * @param audience the only accepted `aud`: as a string, or alone in a list, as Kubernetes and SPIRE write it
 * @param now Unix milliseconds
 * @throws TokenError
 */
export function checkIssuerToken(
  { header, claims }: UnverifiedAssertion,
  audience: string,
  now: number,
): { iss: string | undefined; sub: string } {
  refuseActor(claims)
  const { iss, sub, aud, jti } = claims
  if (!isId(sub) || (iss !== undefined && !isId(iss)) || (jti !== undefined && !isId(jti))) {
    throw new TokenError('bad_claims', 'iss or jti is invalid, or sub is missing or invalid')
  }
  // JWT-SVID §2.3 permits one more.
  const isTyped = TYPES.has(header.typ as string | undefined) || (header.typ === 'JOSE' && isSpiffeId(sub))
  if (!isTyped) throw wrongType()
  const [only, ...others] = Array.isArray(aud) ? aud : [aud]
  if (only !== audience || others.length > 0) {
    throw new TokenError('wrong_audience', 'aud is not the issuer of this service alone')
  }
  const times = timesOf(claims)
  checkTime(times, now)
  if (times.exp - (times.iat ?? Math.floor(now / 1000)) > MAX_LIFETIME) {
    throw new TokenError('bad_claims', 'the token lives longer than 24 hours')
  }
  return { iss, sub }
}

/** A SPIFFE id with a path (SPIFFE-ID §2). */
export function isSpiffeId(text: string): boolean {
  return /^spiffe:\/\/[a-z0-9._-]{1,255}(\/[A-Za-z0-9._-]+)+$/.test(text)
}

/** `spiffe://TRUST-DOMAIN` of a SPIFFE id. */
export function trustDomainOf(spiffeId: string): string {
  return spiffeId.split('/', 3).join('/')
}

/** RFC 8693 §4.1: a token with `act` is in the hands of another than its subject, so it does not prove that the subject calls. */
function refuseActor({ act }: UnverifiedAssertion['claims']): void {
  if (act !== undefined) throw new TokenError('bad_claims', 'a token with act authenticates nobody')
}

function timesOf({ exp, iat, nbf }: UnverifiedAssertion['claims']): { exp: number; iat?: number; nbf?: number } {
  // Whole seconds, as in access tokens.
  if (!isTime(exp) || (iat !== undefined && !isTime(iat)) || (nbf !== undefined && !isTime(nbf))) {
    throw new TokenError('bad_claims', 'exp is missing, or exp, iat or nbf is not a whole number of seconds')
  }
  return { exp, ...(iat !== undefined && { iat }), ...(nbf !== undefined && { nbf }) }
}

const wrongType = () => new TokenError('unsupported_header', 'typ is not that of an assertion')
