import { createHmac, createPublicKey, createSecretKey, timingSafeEqual, verify } from 'node:crypto'
import type { VerificationKey } from './jwk.js'

/**
 * Whether `signature` is this key's over the signing input, the token up to its second dot (RFC 7515 §5.2). Both are ASCII,
 * and the signature is canonical base64url: who asks has looked.
 */
export type SignatureCheck = (signingInput: string, signature: string) => boolean

/**
 * The check of signatures by this key, with the one algorithm that the key is for. Node's own cryptography, called
 * synchronously: what runs in its pool of threads would wait there behind whatever else the process has to hash.
 */
export function createSignatureCheck(key: VerificationKey): SignatureCheck {
  if (key.alg === 'HS256') {
    const secret = createSecretKey(typeof key.secret === 'string' ? Buffer.from(key.secret, 'utf8') : key.secret)
    return (input, signature) => {
      const mac = createHmac('sha256', secret).update(input).digest('base64url')
      return signature.length === mac.length && timingSafeEqual(Buffer.from(signature), Buffer.from(mac))
    }
  }
  const publicKey = { key: createPublicKey(key.publicKey), dsaEncoding: 'ieee-p1363' } as const
  const hash = key.alg === 'EdDSA' ? null : 'sha256'
  return (input, signature) => verify(hash, Buffer.from(input), publicKey, Buffer.from(signature, 'base64url'))
}
