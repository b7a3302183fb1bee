import { createHash, randomInt } from 'node:crypto'

export const RECOVERY_CODES = 10

/** Crockford's base32: no letter looks like a digit. */
const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz'
const LENGTH = 16

/** A code of 80 random bits, such as `k7f2-9xqd-m3ta-04rw`. */
export function newRecoveryCode(): string {
  const code = Array.from({ length: LENGTH }, () => ALPHABET[randomInt(ALPHABET.length)]).join('')
  return code.replace(/.{4}(?=.)/g, '$&-')
}

/**
 * The hash that the database holds. Nobody can guess 80 random bits, so a fast hash is enough. Case, spaces and dashes do not
 * count, and letters that look like a digit mean the digit.
 */
export function recoveryCodeHash(sub: string, code: string): string {
  const plain = code.toLowerCase().replace(/[\s-]/g, '').replaceAll('o', '0').replace(/[il]/g, '1')
  return createHash('sha256').update(`${sub}\0${plain}`).digest('base64url')
}
