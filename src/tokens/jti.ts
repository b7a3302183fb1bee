import { createHmac, createSecretKey, type KeyObject, randomUUID, timingSafeEqual } from 'node:crypto'
import type { AccessTokenClaims } from '@latchkey/verifier/access-token'

/**
 * The `jti` of an access token is 48 random bits, then 80 bits of a MAC of every other claim, under a key that only this
 * service has.
 *
 * Every service that verifies tokens with a shared key (HS256) can sign tokens with the key as well. The signature then says
 * only that one of these services made the token. The MAC says that this service made the token, with these claims. No store
 * is asked, and other services see an identifier like any other.
 *
 * 80 bits are enough: a forger cannot test a guess offline, and each online guess is a request to this service.
 */
export interface Jtis {
  /** The claims with their `jti`. */
  stamp(claims: AccessTokenClaims): AccessTokenClaims
  /** Whether this service made a token with exactly these claims. */
  isOurs(claims: AccessTokenClaims): boolean
}

/** In characters of base64url: 6 bytes, then 10. */
const NONCE_LENGTH = 8
const MAC_BYTES = 10
const JTI_LENGTH = 22

/**
 * @param secrets the first makes the MAC, all verify. They are those of the refresh tokens: the text that goes into the MAC
 *   begins with the kind of token, so that a MAC of one kind is never a MAC of the other
 */
export function createJtis(secrets: readonly [string, ...string[]]): Jtis {
  const keys = secrets.map((secret) => createSecretKey(secret, 'utf8')) as [KeyObject, ...KeyObject[]]

  /** Of all claims, in their order: a claim that is added later is covered too. */
  function jtiWith(key: KeyObject, nonce: string, claims: AccessTokenClaims): string {
    const mac = createHmac('sha256', key).update(`latchkey access token\0${JSON.stringify({ ...claims, jti: nonce })}`)
    return nonce + mac.digest().toString('base64url', 0, MAC_BYTES)
  }

  return {
    stamp: (claims) => ({ ...claims, jti: jtiWith(keys[0], newNonce(), claims) }),

    isOurs(claims) {
      const { jti } = claims
      if (jti.length !== JTI_LENGTH) return false
      const presented = Buffer.from(jti)
      const nonce = jti.slice(0, NONCE_LENGTH)
      return keys.some((key) => timingSafeEqual(Buffer.from(jtiWith(key, nonce, claims)), presented))
    },
  }
}

/** The first 48 bits of a UUID, all random. Node keeps a stock for UUIDs: bytes that are drawn one by one take 2 µs more. */
function newNonce(): string {
  return Buffer.from(randomUUID().slice(0, 13).replace('-', ''), 'hex').toString('base64url')
}
