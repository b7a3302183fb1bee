import { pbkdf2, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'
import {
  base64,
  checked,
  hex,
  INVALID_PARAMETERS,
  type PasswordHash,
  type ReadHash,
  TOO_COSTLY,
} from './password-hash.js'

/** Rounds × blocks of output. */
const MAX_ROUNDS = 2_000_000

/** Bytes of a block. */
const DIGESTS = { sha1: 20, sha256: 32, sha512: 64 } as const
type Digest = keyof typeof DIGESTS

/** PBKDF2 in modular crypt format or as a PHC string, and as Django and Werkzeug write it: their salt is text. */
export const readPbkdf2: ReadHash = (text) => {
  const modular = /^\$pbkdf2(?:-(sha1|sha256|sha512))?\$(?:i=)?(\d{1,8})(?:,l=\d{1,3})?\$([^$]+)\$([^$]+)$/.exec(text)
  if (modular) {
    const [, digest = 'sha1', rounds, salt = '', output = ''] = modular
    return pbkdf2Hash(digest as Digest, Number(rounds), base64(salt), base64(output))
  }
  const django = /^pbkdf2_(sha1|sha256|sha512)\$(\d{1,8})\$([^$]+)\$([^$]+)$/.exec(text)
  if (django) {
    const [, digest, rounds, salt = '', output = ''] = django
    return pbkdf2Hash(digest as Digest, Number(rounds), Buffer.from(salt), base64(output))
  }
  const werkzeug = /^pbkdf2:(sha1|sha256|sha512):(\d{1,8})\$([^$]+)\$([^$]+)$/.exec(text)
  if (!werkzeug) return undefined
  const [, digest, rounds, salt = '', output = ''] = werkzeug
  return pbkdf2Hash(digest as Digest, Number(rounds), Buffer.from(salt), hex(output))
}

/** PBKDF2 as Spring Security writes it: salt and output in hexadecimal digits. The parameters are those of its version. */
export const readSpringPbkdf2: ReadHash = (text) => {
  const bytes = hex(text)
  if (bytes?.length === 40) return pbkdf2Hash('sha1', 185_000, bytes.subarray(0, 8), bytes.subarray(8))
  if (bytes?.length === 48) return pbkdf2Hash('sha256', 310_000, bytes.subarray(0, 16), bytes.subarray(16))
  return undefined
}

const ASP_NET_DIGESTS: readonly (Digest | undefined)[] = ['sha1', 'sha256', 'sha512']

/** PBKDF2 of ASP.NET Identity, versions 2 and 3: Base64 of a version byte, parameters, salt and output. */
export const readAspNetIdentity: ReadHash = (text) => {
  if (!/^A[AQ][A-Za-z0-9+/]{20,300}={0,2}$/.test(text)) return undefined
  const bytes = base64(text)
  if (bytes?.[0] === 0 && bytes.length === 49) {
    return pbkdf2Hash('sha1', 1000, bytes.subarray(1, 17), bytes.subarray(17))
  }
  if (bytes?.[0] !== 1 || bytes.length < 13) return undefined
  const [digest, rounds, saltLength] = [1, 5, 9].map((offset) => bytes.readUInt32BE(offset)) as [number, number, number]
  const name = ASP_NET_DIGESTS[digest]
  // With a salt beyond the end, the output is empty and refused.
  return name
    ? pbkdf2Hash(name, rounds, bytes.subarray(13, 13 + saltLength), bytes.subarray(13 + saltLength))
    : undefined
}

function pbkdf2Hash(
  digest: Digest,
  rounds: number,
  salt: Buffer | undefined,
  output: Buffer | undefined,
): PasswordHash | string {
  if (rounds < 1) return INVALID_PARAMETERS
  if (rounds * Math.ceil((output?.length ?? 0) / DIGESTS[digest]) > MAX_ROUNDS) return TOO_COSTLY
  return checked(salt, output, (salt, output) => ({
    async matches(password) {
      const computed = await promisify(pbkdf2)(password, salt, rounds, output.length, digest)
      return timingSafeEqual(computed, output)
    },
  }))
}
