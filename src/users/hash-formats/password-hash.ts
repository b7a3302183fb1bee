/** A parsed password hash. */
export interface PasswordHash {
  matches(password: string): Promise<boolean>
}

/**
 * Reads one family of formats.
 *
 * @returns the hash; the reason why it is refused, which repeats nothing of the hash; undefined when it is another format
 */
export type ReadHash = (text: string) => PasswordHash | string | undefined

/**
 * The most memory that one password check may use. Each format also limits its work, to about a second of a core. An import may
 * bring a hash that an attacker wrote. Such a hash must not make a sign-in take a minute, or all of the memory.
 */
export const MAX_BYTES = 256 * 1024 * 1024

/** In bytes. An empty output would match every password. */
const MIN_OUTPUT = 16
const MAX_OUTPUT = 64
const MAX_SALT = 64

export const TOO_COSTLY = 'the hash costs too much to check: see the limits in docs/accounts.md'
export const INVALID_PARAMETERS = 'the parameters of the hash are not valid'
export const UNREADABLE_SALT = 'the salt of the hash cannot be read'

/** Checks salt and output before the hash is used. */
export function checked(
  salt: Buffer | undefined,
  output: Buffer | undefined,
  make: (salt: Buffer, output: Buffer) => PasswordHash | string,
): PasswordHash | string {
  if (!salt || salt.length > MAX_SALT) return UNREADABLE_SALT
  if (!output || output.length < MIN_OUTPUT || output.length > MAX_OUTPUT) {
    return 'the hash itself cannot be read, or is too short or too long'
  }
  return make(salt, output)
}

/** Decodes Base64, with padding or without. passlib writes a dot instead of the plus. Undefined for any other text. */
export function base64(text: string): Buffer | undefined {
  const plain = text.replaceAll('.', '+').replace(/=+$/, '')
  const decoded = Buffer.from(plain, 'base64')
  return decoded.toString('base64').replace(/=+$/, '') === plain ? decoded : undefined
}

/** Decodes hexadecimal digits in lower case. Undefined for any other text. */
export function hex(text: string): Buffer | undefined {
  return /^(?:[0-9a-f]{2})*$/.test(text) ? Buffer.from(text, 'hex') : undefined
}
