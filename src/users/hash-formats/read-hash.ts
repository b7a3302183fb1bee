import { readArgon2 } from './argon2.js'
import { readBcrypt } from './bcrypt.js'
import type { PasswordHash, ReadHash } from './password-hash.js'
import { readAspNetIdentity, readPbkdf2, readSpringPbkdf2 } from './pbkdf2.js'
import { readPhpass } from './phpass.js'
import { refuseFormat } from './refused-formats.js'
import { readFirebaseScrypt, readScrypt, readSpringScrypt } from './scrypt.js'

const FORMATS: readonly ReadHash[] = [
  readArgon2,
  readBcrypt,
  readScrypt,
  readPbkdf2,
  readFirebaseScrypt,
  readPhpass,
  readAspNetIdentity,
]

/** The ids of Spring's DelegatingPasswordEncoder. */
const SPRING: Readonly<Record<string, ReadHash>> = {
  bcrypt: readBcrypt,
  argon2: readArgon2,
  scrypt: readSpringScrypt,
  pbkdf2: readSpringPbkdf2,
}

/**
 * Reads a hash in a format of docs/accounts.md.
 *
 * @returns the hash, or the reason why it is refused. The reason repeats nothing of the hash
 */
export function readPasswordHash(text: string): PasswordHash | string {
  if (text.length > 512) return 'the hash is too long'
  const [, id = '', rest = ''] = /^\{(\w+)(?:@SpringSecurity_v\d_\d)?\}(.+)$/.exec(text) ?? []
  if (Object.hasOwn(SPRING, id)) return SPRING[id]?.(rest) ?? 'the hash does not have the form that its {id} names'
  for (const read of FORMATS) {
    const hash = read(text)
    if (hash !== undefined) return hash
  }
  return refuseFormat(text)
}
