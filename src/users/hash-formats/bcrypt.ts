import { createHash, createHmac } from 'node:crypto'
import { INVALID_PARAMETERS, type ReadHash, TOO_COSTLY } from './password-hash.js'

const MAX_COST = 14

/** bcrypt reads only 72 bytes. So these systems hash the password before bcrypt does. */
const PREPARE: Readonly<Record<string, (password: string) => string>> = {
  // Django
  bcrypt_sha256$: (password) => createHash('sha256').update(password).digest('hex'),
  // WordPress since 6.8
  $wp: (password) => createHmac('sha384', 'wp-sha384').update(password).digest('base64'),
}

/** Modular crypt format, as PHP and Laravel write it too. Django and WordPress write a name before it. */
export const readBcrypt: ReadHash = (text) => {
  const match = /^(bcrypt\$|bcrypt_sha256\$|\$wp)?(\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53})$/.exec(text)
  if (!match) return undefined
  const [, prefix = '', crypt = '', cost] = match
  if (Number(cost) < 4) return INVALID_PARAMETERS
  if (Number(cost) > MAX_COST) return TOO_COSTLY
  const prepare = PREPARE[prefix] ?? ((password) => password)
  return {
    async matches(password) {
      // Loaded at the first bcrypt hash, because it takes 3 MB.
      const { verify } = await import('@node-rs/bcrypt')
      return verify(prepare(password), crypt)
    },
  }
}
