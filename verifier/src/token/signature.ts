import { constants, createHmac, createPublicKey, createSecretKey, timingSafeEqual, verify } from 'node:crypto'
import type { VerificationKey } from './jwk.js'

/**
 * Whether the signature is valid for the signing input, the token up to its second dot (RFC 7515 §5.2). Both must be ASCII,
 * and the signature must be canonical base64url: the caller checks that before.
 */
export type SignatureCheck = (signingInput: string, signature: string) => boolean

/**
 * Makes the check of signatures by this key, with the one algorithm of the key (RFC 8725 §3.1). It calls Node's cryptography
 * synchronously. An asynchronous call would wait in the thread pool behind other work, for example password hashes.
 */
export function createSignatureCheck(key: VerificationKey): SignatureCheck {
  if (key.alg === 'HS256') {
    const secret = createSecretKey(typeof key.secret === 'string' ? Buffer.from(key.secret, 'utf8') : key.secret)
    return (input, signature) => {
      const mac = createHmac('sha256', secret).update(input).digest('base64url')
      return signature.length === mac.length && timingSafeEqual(Buffer.from(signature), Buffer.from(mac))
    }
  }
  const publicKey = {
    key: createPublicKey(key.publicKey),
    dsaEncoding: 'ieee-p1363',
    // RFC 7518 §3.5: the salt is as long as the hash.
    ...(key.alg === 'PS256' && {
      padding: constants.RSA_PKCS1_PSS_PADDING,
      saltLength: constants.RSA_PSS_SALTLEN_DIGEST,
    }),
  } as const
  const hash = key.alg === 'EdDSA' ? null : 'sha256'
  return (input, signature) => verify(hash, Buffer.from(input), publicKey, Buffer.from(signature, 'base64url'))
}
