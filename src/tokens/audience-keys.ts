import { hkdfSync } from 'node:crypto'
import { verificationKeyFromJwk } from '@latchkey/verifier/jwk'
import type { KeyRing, SigningKey, SigningKeys } from './key-ring.js'

/** Separates these keys from every other key that somebody derives from the same secret. */
const INFO = 'latchkey access token\0'
/** Bytes: as long as the hash of HS256 (RFC 7518 §3.2). */
const KEY_LENGTH = 32

/**
 * The HS256 key of one audience: HKDF-SHA-256 (RFC 5869) of the shared secret, without a salt. Its `kid` is its thumbprint
 * (RFC 7638). A service that has the key can sign tokens for its own audience only, and cannot compute the secret or another key.
 */
export function deriveAudienceKey(secret: string | Buffer, audience: string): SigningKey {
  const key = Buffer.from(hkdfSync('sha256', secret, '', INFO + audience, KEY_LENGTH))
  const verification = { ...verificationKeyFromJwk({ kty: 'oct', k: key.toString('base64url') }), audience }
  return { kid: verification.kid, alg: verification.alg, key, verification, publicJwk: undefined }
}

/** A ring that has, in the place of each shared secret, one key for each audience. Private keys stay as they are. */
export function createAudienceKeyRing(ring: KeyRing, audiences: readonly string[]): KeyRing {
  let secrets: SigningKeys | undefined
  let keys: SigningKeys
  let signing: Map<string, SigningKey>

  /** Derives the keys again when the secrets have changed. */
  function current(): SigningKeys {
    const latest = ring.keys()
    if (latest !== secrets) {
      secrets = latest
      keys = latest.flatMap((key) =>
        key.alg === 'HS256' ? audiences.map((audience) => deriveAudienceKey(key.key, audience)) : [key],
      ) as unknown as SigningKeys
      signing = new Map(audiences.map((audience, index) => [audience, keys[index] as SigningKey]))
    }
    return keys
  }

  return {
    keys: current,

    signingKey(audience) {
      const [first] = current()
      if (first.alg !== 'HS256') return first
      // A session may have an audience that was removed from AUDIENCE since.
      const key = signing.get(audience) ?? deriveAudienceKey((secrets as SigningKeys)[0].key, audience)
      signing.set(audience, key)
      return key
    },

    close: ring.close,
  }
}
