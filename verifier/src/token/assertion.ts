import { hasSafeShape } from './claims.js'
import { parseCanonical } from './format.js'
import { type JwsHeader, parseJwsHeader, splitToken } from './header.js'
import type { KeySource } from './keys.js'
import { createSignatureCheck, type SignatureCheck } from './signature.js'
import { TokenError } from './token-error.js'

export { CLOCK_LEEWAY, checkTime, isId, isTime, MAX_LIFETIME } from './claims.js'
export { createFetchedKeys, fixedKeys, KEY_FETCH_LIMITS, type KeySource } from './keys.js'
export { TokenError } from './token-error.js'

/** The JWS algorithms of assertions (RFC 7518 §3.1, RFC 8037 §3.1). */
export const ASSERTION_ALGORITHMS = ['ES256', 'RS256', 'PS256', 'EdDSA'] as const

/** A JWT that somebody else signed (RFC 7521 §3). Its form is checked, and its signature is not. */
export interface UnverifiedAssertion {
  header: JwsHeader
  claims: Readonly<Record<string, unknown>>
  signingInput: string
  signature: string
}

/**
 * Parses an assertion with the rules for access tokens, except that its JSON may escape slashes.
 *
 * @throws TokenError if it is malformed
 */
export function parseAssertion(token: string): UnverifiedAssertion {
  const { header, claims: encoded, signature } = splitToken(token)
  const claims = parseCanonical(encoded, 'any')
  if (!claims || !hasSafeShape(claims)) {
    throw new TokenError('bad_claims', 'the claims are not a JSON object in canonical form')
  }
  return {
    header: parseJwsHeader(header),
    claims,
    signingInput: token.slice(0, -signature.length - 1),
    signature,
  }
}

/** Verifies the signatures of one signer. */
export interface AssertionKeys {
  /** @throws TokenError; `unavailable` if the keys of the signer cannot be fetched */
  verify(assertion: UnverifiedAssertion): Promise<void>
}

/** Prepares the keys of a signer, and prepares them again when the source has other keys. */
export function createAssertionKeys(source: KeySource): AssertionKeys {
  let listed: ReturnType<KeySource['current']> | undefined
  let checks: { kid: string; alg: string; check: SignatureCheck }[] = []

  function find({ alg, kid }: JwsHeader): SignatureCheck | undefined {
    const current = source.current()
    if (current !== listed) {
      listed = current
      checks = current.map((key) => ({ kid: key.kid, alg: key.alg, check: createSignatureCheck(key) }))
    }
    // RFC 9864 calls EdDSA with this curve Ed25519. Every EdDSA key here has this curve.
    const name = alg === 'Ed25519' ? 'EdDSA' : alg
    // Without a kid, the signer must have one key only for the algorithm. Trying one key after the other would make the work
    // of a forged token a multiple.
    const matching = checks.filter((key) => key.alg === name && (kid === undefined || key.kid === kid))
    return matching.length === 1 ? matching[0]?.check : undefined
  }

  return {
    async verify({ header, signingInput, signature }) {
      const renewal = source.renew()
      if (renewal) await renewal
      const isSignedBy = (check: SignatureCheck | undefined) => check?.(signingInput, signature) ?? false
      let check = find(header)
      if (isSignedBy(check)) return
      // A signer without key ids may have a new key.
      if ((check === undefined || header.kid === undefined) && (await source.refresh())) check = find(header)
      if (check === undefined) throw new TokenError('unknown_key', 'the signer has no such key, or several and no kid')
      if (!isSignedBy(check)) throw new TokenError('bad_signature', 'the signature is not valid')
    },
  }
}
