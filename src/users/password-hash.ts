import { createHash, pbkdf2, scrypt, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'
import { verify as verifyArgon2 } from '@node-rs/argon2'

/** A parsed password hash. */
export interface PasswordHash {
  matches(password: string): Promise<boolean>
}

/**
 * The limits on what one password check may cost: about a second of a core. An import may bring a hash that an attacker wrote.
 * Such a hash must not make a sign-in take a minute, or all of the memory.
 */
const MAX_BYTES = 256 * 1024 * 1024
/** argon2: KiB of memory × passes. */
const MAX_ARGON2_WORK = 1024 * 1024
const MAX_ARGON2_LANES = 16
const MAX_BCRYPT_COST = 14
/** scrypt: N × r × p. */
const MAX_SCRYPT_WORK = 2 ** 21
/** PBKDF2: rounds × blocks of output. */
const MAX_PBKDF2_ROUNDS = 2_000_000

/** In bytes. An empty output would match every password. */
const MIN_OUTPUT = 16
const MAX_OUTPUT = 64
const MAX_SALT = 64

const DIGESTS = { sha1: 20, sha256: 32, sha512: 64 } as const
type Digest = keyof typeof DIGESTS

const TOO_COSTLY = 'the hash costs too much to check: see the limits in docs/accounts.md'

/**
 * Reads a hash in a format of docs/accounts.md: argon2, bcrypt, scrypt or PBKDF2, as a PHC string, in modular crypt format, or
 * as passlib and Django write them.
 *
 * @returns the hash, or the reason why it is refused. The reason repeats nothing of the hash
 */
export function readPasswordHash(text: string): PasswordHash | string {
  if (text.length > 512) return 'the hash is too long'
  for (const read of [readArgon2, readBcrypt, readScrypt, readPbkdf2]) {
    const hash = read(text)
    if (hash !== undefined) return hash
  }
  return 'the format of the hash is unknown: use argon2, bcrypt, scrypt or PBKDF2'
}

type Read = (text: string) => PasswordHash | string | undefined

const readArgon2: Read = (text) => {
  const match =
    /^(?:argon2)?(\$argon2(?:i|d|id)(?:\$v=(?:16|19))?\$m=([1-9]\d{0,6}),t=([1-9]\d{0,6}),p=([1-9]\d{0,2})\$([^$]+)\$([^$]+))$/.exec(
      text,
    )
  if (!match) return undefined
  const [, phc = '', memory, passes, lanes, saltText = '', outputText = ''] = match
  const [m, t, p] = [Number(memory), Number(passes), Number(lanes)]
  if (t < 1 || p < 1 || m < 8 * p) return 'the parameters of the hash are not valid'
  if (m * 1024 > MAX_BYTES || m * t > MAX_ARGON2_WORK || p > MAX_ARGON2_LANES) return TOO_COSTLY
  // The library checks the salt again and throws. It does not take padding.
  const [salt, output] = [bytes(saltText), bytes(outputText)]
  if (!salt || salt.length < 8 || /[=.]/.test(saltText + outputText)) return 'the salt of the hash cannot be read'
  return checked(salt, output, () => ({ matches: (password) => verifyArgon2(phc, password) }))
}

const readBcrypt: Read = (text) => {
  const match = /^(bcrypt(?:_sha256)?\$)?(\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53})$/.exec(text)
  if (!match) return undefined
  const [, prefix, crypt = '', cost] = match
  if (Number(cost) < 4) return 'the parameters of the hash are not valid'
  if (Number(cost) > MAX_BCRYPT_COST) return TOO_COSTLY
  // Django hashes the password first, because bcrypt reads only 72 bytes.
  const prepare = (password: string) =>
    prefix === 'bcrypt_sha256$' ? createHash('sha256').update(password).digest('hex') : password
  return {
    async matches(password) {
      // Loaded at the first bcrypt hash, because it takes 3 MB.
      const { verify } = await import('@node-rs/bcrypt')
      return verify(prepare(password), crypt)
    },
  }
}

const readScrypt: Read = (text) => {
  const phc = /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,3}),p=(\d{1,3})\$([^$]+)\$([^$]+)$/.exec(text)
  if (phc) {
    const [, ln, r, p, salt = '', output = ''] = phc
    return scryptHash(2 ** Number(ln), Number(r), Number(p), bytes(salt), bytes(output))
  }
  const django = /^scrypt\$(\d{1,8})\$([^$]+)\$(\d{1,3})\$(\d{1,3})\$([^$]+)$/.exec(text)
  if (!django) return undefined
  const [, n, salt = '', r, p, output = ''] = django
  return scryptHash(Number(n), Number(r), Number(p), Buffer.from(salt), bytes(output))
}

function scryptHash(
  N: number,
  r: number,
  p: number,
  salt: Buffer | undefined,
  output: Buffer | undefined,
): PasswordHash | string {
  if (N < 2 || !Number.isInteger(Math.log2(N)) || r < 1 || p < 1) return 'the parameters of the hash are not valid'
  if (128 * N * r > MAX_BYTES || N * r * p > MAX_SCRYPT_WORK) return TOO_COSTLY
  return checked(salt, output, (salt, output) => ({
    async matches(password) {
      const computed = await derive(password, salt, output.length, { N, r, p, maxmem: 2 * MAX_BYTES })
      return timingSafeEqual(computed, output)
    },
  }))
}

const derive = promisify<string, Buffer, number, { N: number; r: number; p: number; maxmem: number }, Buffer>(scrypt)

const readPbkdf2: Read = (text) => {
  const modular = /^\$pbkdf2(?:-(sha1|sha256|sha512))?\$(?:i=)?(\d{1,8})(?:,l=\d{1,3})?\$([^$]+)\$([^$]+)$/.exec(text)
  if (modular) {
    const [, digest = 'sha1', rounds, salt = '', output = ''] = modular
    return pbkdf2Hash(digest as Digest, Number(rounds), bytes(salt), bytes(output))
  }
  const django = /^pbkdf2_(sha1|sha256|sha512)\$(\d{1,8})\$([^$]+)\$([^$]+)$/.exec(text)
  if (!django) return undefined
  const [, digest, rounds, salt = '', output = ''] = django
  return pbkdf2Hash(digest as Digest, Number(rounds), Buffer.from(salt), bytes(output))
}

function pbkdf2Hash(
  digest: Digest,
  rounds: number,
  salt: Buffer | undefined,
  output: Buffer | undefined,
): PasswordHash | string {
  if (rounds < 1) return 'the parameters of the hash are not valid'
  if (rounds * Math.ceil((output?.length ?? 0) / DIGESTS[digest]) > MAX_PBKDF2_ROUNDS) return TOO_COSTLY
  return checked(salt, output, (salt, output) => ({
    async matches(password) {
      const computed = await promisify(pbkdf2)(password, salt, rounds, output.length, digest)
      return timingSafeEqual(computed, output)
    },
  }))
}

function checked(
  salt: Buffer | undefined,
  output: Buffer | undefined,
  make: (salt: Buffer, output: Buffer) => PasswordHash,
): PasswordHash | string {
  if (!salt || salt.length > MAX_SALT) return 'the salt of the hash cannot be read'
  if (!output || output.length < MIN_OUTPUT || output.length > MAX_OUTPUT) {
    return 'the hash itself cannot be read, or is too short or too long'
  }
  return make(salt, output)
}

/** Decodes Base64, with padding or without. passlib writes a dot instead of the plus. Undefined for any other text. */
function bytes(text: string): Buffer | undefined {
  const plain = text.replaceAll('.', '+').replace(/=+$/, '')
  const decoded = Buffer.from(plain, 'base64')
  return decoded.toString('base64').replace(/=+$/, '') === plain ? decoded : undefined
}
