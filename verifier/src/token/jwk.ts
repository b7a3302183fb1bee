import { createHash, createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto'

/** A JSON Web Key (RFC 7517 §4). */
export type Jwk = JsonWebKey & { kid?: string; alg?: string; use?: string; key_ops?: string[] }

/** A key that verifies signatures with exactly one algorithm (RFC 8725 §3.1). */
export type VerificationKey =
  | {
      kid: string
      alg: 'HS256'
      secret: string | Buffer
      /**
       * The key verifies only tokens of this audience. The service of this audience has the key too, and could otherwise sign tokens
       * for other services. Undefined: tokens of every audience.
       */
      audience?: string
    }
  /** `publicKey` is PEM (SPKI). */
  | { kid: string; alg: 'ES256' | 'RS256' | 'PS256' | 'EdDSA'; publicKey: string }

/** The members that RFC 7638 §3.2 requires, in its order. */
const THUMBPRINT_MEMBERS: Record<string, readonly string[]> = {
  oct: ['k', 'kty'],
  EC: ['crv', 'kty', 'x', 'y'],
  RSA: ['e', 'kty', 'n'],
  OKP: ['crv', 'kty', 'x'],
}

/** The SHA-256 thumbprint of a key in base64url (RFC 7638). It is the `kid` of a key without a `kid`. */
export function jwkThumbprint(jwk: Jwk): string {
  const members = THUMBPRINT_MEMBERS[jwk.kty ?? ''] ?? []
  const json = JSON.stringify(Object.fromEntries(members.map((member) => [member, jwk[member]])))
  return createHash('sha256').update(json).digest('base64url')
}

/**
 * Makes the verification key of a JWK. The key type determines the algorithm: `oct` HS256, EC P-256 ES256, RSA with 2048 bits
 * or more RS256, Ed25519 EdDSA (RFC 7518 §3.1, RFC 8037 §3.1).
 *
 * @throws Error that says which rule the key breaks. The message never contains the key
 */
export function verificationKeyFromJwk(jwk: Jwk): VerificationKey {
  return keyFor('verify', jwk)
}

/** Like {@link verificationKeyFromJwk}, for a private JWK or a secret that signs: `key_ops` must list `sign`, not `verify`. */
export function verificationKeyFromSigningJwk(jwk: Jwk): VerificationKey {
  return keyFor('sign', jwk)
}

/** The members of a private key or a secret (RFC 7518 §6). */
const PRIVATE_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k']

/**
 * The verification keys of a public JWK with which somebody else signs: a client, or a trusted issuer. An RSA key without `alg`
 * verifies RS256 and PS256, so it gives two keys. `use` may be `jwt-svid`, as in a SPIFFE trust bundle.
 *
 * @throws Error that says which rule the key breaks. The message never contains the key
 */
export function assertionKeysFromJwk(jwk: Jwk): VerificationKey[] {
  if (typeof jwk !== 'object' || jwk === null) throw new Error('it is not an object')
  // If a private key is public, anyone can sign with it.
  if (PRIVATE_MEMBERS.some((member) => Object.hasOwn(jwk, member))) {
    throw new Error('it is a private key or a secret: give the public key')
  }
  const { alg, use, ...members } = jwk
  const pinned = jwk.kty === 'RSA' && alg === 'PS256' ? 'RS256' : alg === 'Ed25519' ? 'EdDSA' : alg
  const key = keyFor('verify', {
    ...members,
    ...(use !== undefined && { use: use === 'jwt-svid' ? 'sig' : use }),
    ...(pinned !== undefined && { alg: pinned }),
  })
  if (key.alg !== 'RS256') return [key]
  const forPss = { ...key, alg: 'PS256' } as const
  return alg === undefined ? [key, forPss] : alg === 'PS256' ? [forPss] : [key]
}

function keyFor(operation: 'verify' | 'sign', jwk: Jwk): VerificationKey {
  const alg = algorithmOf(jwk)
  if (jwk.alg !== undefined && jwk.alg !== alg) throw new Error(`alg is ${jwk.alg}: this type of key is for ${alg}`)
  if (jwk.use !== undefined && jwk.use !== 'sig') throw new Error('use is not sig')
  requireOperation(jwk, operation)
  const kid = jwk.kid ?? jwkThumbprint(jwk)
  if (typeof kid !== 'string' || kid === '' || kid.length > 256)
    throw new Error('kid is not a string of 1 to 256 characters')
  if (alg === 'HS256') {
    // A decoder drops invalid characters. If someone pastes a pass phrase, an unknown part of it would become the key.
    if (typeof jwk.k !== 'string' || !/^[\w-]+$/.test(jwk.k)) throw new Error('k is missing, or is not base64url')
    const secret = Buffer.from(jwk.k, 'base64url')
    if (secret.length < 32) throw new Error('k is shorter than 32 bytes')
    return { kid, alg, secret }
  }
  return { kid, alg, publicKey: publicKeyOf(jwk).export({ type: 'spki', format: 'pem' }).toString() }
}

/** Checks `key_ops` (RFC 7517 §4.3): it has no duplicates and agrees with `use`. */
function requireOperation({ key_ops: listed, use }: Jwk, operation: 'verify' | 'sign'): void {
  if (listed === undefined) return
  if (!Array.isArray(listed) || !listed.every((name) => typeof name === 'string')) {
    throw new Error('key_ops is not a list of strings')
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
  throw new Error('the key type is not supported: use oct, EC P-256, RSA or Ed25519')
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
