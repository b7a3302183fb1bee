import { createHash, createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto'

/** A key as it stands in a JWK Set (RFC 7517). */
export type Jwk = JsonWebKey & { kid?: string; alg?: string; use?: string; key_ops?: string[] }

/** A key, pinned to the one algorithm that it may be used with (RFC 8725 §3.1). */
export type VerificationKey =
  | { kid: string; alg: 'HS256'; secret: string | Buffer }
  /** The public key as PEM (SPKI). */
  | { kid: string; alg: 'ES256' | 'RS256' | 'EdDSA'; publicKey: string }

/** The members that RFC 7638 §3.2 hashes, in its order. */
const THUMBPRINT_MEMBERS: Record<string, readonly string[]> = {
  oct: ['k', 'kty'],
  EC: ['crv', 'kty', 'x', 'y'],
  RSA: ['e', 'kty', 'n'],
  OKP: ['crv', 'kty', 'x'],
}

/** RFC 7638: the `kid` of a key that has none of its own. */
export function jwkThumbprint(jwk: Jwk): string {
  const members = THUMBPRINT_MEMBERS[jwk.kty ?? ''] ?? []
  const json = JSON.stringify(Object.fromEntries(members.map((member) => [member, jwk[member]])))
  return createHash('sha256').update(json).digest('base64url')
}

/**
 * The key that a JWK verifies with, pinned to the one algorithm of its kind: `oct` HS256, EC P-256 ES256, RSA of 2048
 * bits or more RS256, Ed25519 EdDSA.
 *
 * @throws Error that says which rule the key breaks; it never repeats the key
 */
export function verificationKeyFromJwk(jwk: Jwk): VerificationKey {
  return keyFor('verify', jwk)
}

/** The same of a private JWK, or of a secret, that signs: its `key_ops` need not list `verify`, but `sign`. */
export function verificationKeyFromSigningJwk(jwk: Jwk): VerificationKey {
  return keyFor('sign', jwk)
}

function keyFor(operation: 'verify' | 'sign', jwk: Jwk): VerificationKey {
  const alg = algorithmOf(jwk)
  if (jwk.alg !== undefined && jwk.alg !== alg) throw new Error(`alg is ${jwk.alg}: this kind of key is for ${alg}`)
  if (jwk.use !== undefined && jwk.use !== 'sig') throw new Error('use is not sig')
  requireOperation(jwk, operation)
  const kid = jwk.kid ?? jwkThumbprint(jwk)
  if (typeof kid !== 'string' || kid === '' || kid.length > 256)
    throw new Error('kid is no text of 1 to 256 characters')
  if (alg === 'HS256') {
    // A decoder drops what it does not know: of a pass phrase pasted here, an unknown part would be the key.
    if (typeof jwk.k !== 'string' || !/^[\w-]+$/.test(jwk.k)) throw new Error('k is missing, or is not base64url')
    const secret = Buffer.from(jwk.k, 'base64url')
    if (secret.length < 32) throw new Error('k is shorter than 32 bytes')
    return { kid, alg, secret }
  }
  return { kid, alg, publicKey: publicKeyOf(jwk).export({ type: 'spki', format: 'pem' }).toString() }
}

/** RFC 7517 §4.3: no operation is listed twice, and the list agrees with `use`. */
function requireOperation({ key_ops: listed, use }: Jwk, operation: 'verify' | 'sign'): void {
  if (listed === undefined) return
  if (!Array.isArray(listed) || !listed.every((name) => typeof name === 'string')) {
    throw new Error('key_ops is not a list of names')
  }
  if (new Set(listed).size < listed.length) throw new Error('key_ops lists an operation twice')
  if (!listed.includes(operation)) throw new Error(`key_ops does not list ${operation}`)
  if (use !== undefined && listed.some((name) => name !== 'sign' && name !== 'verify')) {
    throw new Error('key_ops lists an operation that use does not allow')
  }
}

function algorithmOf({ kty, crv }: Jwk): VerificationKey['alg'] {
  if (kty === 'oct') return 'HS256'
  if (kty === 'EC' && crv === 'P-256') return 'ES256'
  if (kty === 'RSA') return 'RS256'
  if (kty === 'OKP' && crv === 'Ed25519') return 'EdDSA'
  throw new Error('the key is none of oct, EC P-256, RSA and Ed25519')
}

function publicKeyOf(jwk: Jwk): KeyObject {
  let key: KeyObject
  try {
    const { kty, crv, x, y, n, e } = jwk
    key = createPublicKey({ key: { kty, crv, x, y, n, e } as JsonWebKey, format: 'jwk' })
  } catch {
    throw new Error('the key cannot be read')
  }
  if (jwk.kty === 'RSA') {
    const { modulusLength = 0, publicExponent = 0n } = key.asymmetricKeyDetails ?? {}
    if (modulusLength < 2048) throw new Error('the RSA key has fewer than 2048 bits')
    if (publicExponent < 65_537n) throw new Error('the RSA key has a public exponent below 65537')
  }
  return key
}
