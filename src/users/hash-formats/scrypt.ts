import { createCipheriv, scrypt, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'
import {
  base64,
  checked,
  hex,
  INVALID_PARAMETERS,
  MAX_BYTES,
  type PasswordHash,
  type ReadHash,
  TOO_COSTLY,
  UNREADABLE_SALT,
} from './password-hash.js'

/** N × r × p. */
const MAX_WORK = 2 ** 21

interface Parameters {
  N: number
  r: number
  p: number
}

/** scrypt as a PHC string, and as Django and Werkzeug write it: their salt is text. */
export const readScrypt: ReadHash = (text) => {
  const phc = /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,3}),p=(\d{1,3})\$([^$]+)\$([^$]+)$/.exec(text)
  if (phc) {
    const [, ln, r, p, salt = '', output = ''] = phc
    return scryptHash({ N: 2 ** Number(ln), r: Number(r), p: Number(p) }, base64(salt), base64(output))
  }
  const django = /^scrypt\$(\d{1,8})\$([^$]+)\$(\d{1,3})\$(\d{1,3})\$([^$]+)$/.exec(text)
  if (django) {
    const [, N, salt = '', r, p, output = ''] = django
    return scryptHash({ N: Number(N), r: Number(r), p: Number(p) }, Buffer.from(salt), base64(output))
  }
  const werkzeug = /^scrypt:(\d{1,8}):(\d{1,3}):(\d{1,3})\$([^$]+)\$([^$]+)$/.exec(text)
  if (!werkzeug) return undefined
  const [, N, r, p, salt = '', output = ''] = werkzeug
  return scryptHash({ N: Number(N), r: Number(r), p: Number(p) }, Buffer.from(salt), hex(output))
}

/** scrypt as Spring Security writes it. The first part has log2(N), r and p: 16, 8 and 8 bits, in hexadecimal digits. */
export const readSpringScrypt: ReadHash = (text) => {
  const match = /^\$([0-9a-f]{5,6})\$([^$]+)\$([^$]+)$/.exec(text)
  if (!match) return undefined
  const [, digits = '', salt = '', output = ''] = match
  const parameters = Number.parseInt(digits, 16)
  return scryptHash(
    { N: 2 ** (parameters >> 16), r: (parameters >> 8) & 255, p: parameters & 255 },
    base64(salt),
    base64(output),
  )
}

/**
 * The scrypt of Firebase, in the spelling of GoTrue. scrypt makes a key from the password and the salt, and the hash is the
 * signer key of the project, encrypted with that key. Firebase exports Base64 in its URL-safe form.
 */
export const readFirebaseScrypt: ReadHash = (text) => {
  const match =
    /^\$fbscrypt\$v=1,n=(\d{1,2}),r=(\d{1,3}),p=(\d{1,3})(?:,ss=([^,$]+))?,sk=([^,$]+)\$([^$]+)\$([^$]+)$/.exec(text)
  if (!match) return undefined
  const [, n, r, p, separatorText = '', ...rest] = match
  const [separator, signerKey, ownSalt, output] = [separatorText, ...rest].map(fromUrlSafe)
  if (!separator || !ownSalt || !signerKey || signerKey.length !== output?.length) return UNREADABLE_SALT
  const salt = Buffer.concat([ownSalt, separator])
  return scryptHash({ N: 2 ** Number(n), r: Number(r), p: Number(p) }, salt, output, (key) =>
    createCipheriv('aes-256-ctr', key, Buffer.alloc(16)).update(signerKey),
  )
}

const fromUrlSafe = (text = '') => base64(text.replaceAll('-', '+').replaceAll('_', '/'))

/** @param finish makes the output from a key of 32 bytes; without it, the output of scrypt is the hash */
function scryptHash(
  { N, r, p }: Parameters,
  salt: Buffer | undefined,
  output: Buffer | undefined,
  finish?: (key: Buffer) => Buffer,
): PasswordHash | string {
  if (N < 2 || !Number.isInteger(Math.log2(N)) || r < 1 || p < 1) return INVALID_PARAMETERS
  if (128 * N * r > MAX_BYTES || N * r * p > MAX_WORK) return TOO_COSTLY
  return checked(salt, output, (salt, output) => ({
    async matches(password) {
      const key = await derive(password, salt, finish ? 32 : output.length, { N, r, p, maxmem: 2 * MAX_BYTES })
      return timingSafeEqual(finish ? finish(key) : key, output)
    },
  }))
}

const derive = promisify<string, Buffer, number, Parameters & { maxmem: number }, Buffer>(scrypt)
