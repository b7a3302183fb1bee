import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto'
import { Unavailable } from '../unavailable.js'

/** Encrypts what the database holds of a factor and must be readable again, with AES-256-GCM. */
export interface Sealing {
  /** @param context where the text is stored. The text opens only with the same context, so a row cannot be moved */
  seal(text: string, context: string): string
  /** @throws {Unavailable} if no secret of DATA_SECRET opens the text */
  open(sealed: string, context: string): string
  /** Whether the first secret sealed the text. */
  isCurrent(sealed: string): boolean
}

const KEY_ID_BYTES = 4
const IV_BYTES = 12
const TAG_BYTES = 16

/**
 * A sealed text is the base64url of key id (4), nonce (12), ciphertext and tag (16). The nonce is random: one key seals far
 * fewer than 2^32 texts (NIST SP 800-38D §8.3).
 *
 * @param secrets DATA_SECRET: the first seals; all open
 */
export function createSealing(secrets: readonly [string, ...string[]]): Sealing {
  const keys = secrets.map(toKey)
  const [first] = keys as [SealingKey, ...SealingKey[]]

  return {
    seal(text, context) {
      const nonce = randomBytes(IV_BYTES)
      const cipher = createCipheriv('aes-256-gcm', first.key, nonce).setAAD(Buffer.from(context))
      const encrypted = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()])
      return Buffer.concat([first.id, nonce, encrypted, cipher.getAuthTag()]).toString('base64url')
    },

    open(sealed, context) {
      const bytes = Buffer.from(sealed, 'base64url')
      const nonce = bytes.subarray(KEY_ID_BYTES, KEY_ID_BYTES + IV_BYTES)
      for (const { id, key } of keys) {
        if (!id.equals(bytes.subarray(0, KEY_ID_BYTES))) continue
        try {
          const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES })
          decipher.setAAD(Buffer.from(context)).setAuthTag(bytes.subarray(-TAG_BYTES))
          const encrypted = bytes.subarray(KEY_ID_BYTES + IV_BYTES, -TAG_BYTES)
          return Buffer.concat([decipher.update(encrypted), decipher.final()]).toString()
        } catch {
          // Another secret may have the same id, or the row was changed.
        }
      }
      throw new Unavailable(
        'data_secret',
        'no secret of DATA_SECRET opens a TOTP secret: add the secret that sealed it',
      )
    },

    isCurrent: (sealed) => Buffer.from(sealed, 'base64url').subarray(0, KEY_ID_BYTES).equals(first.id),
  }
}

interface SealingKey {
  id: Buffer
  key: Buffer
}

function toKey(secret: string): SealingKey {
  const key = Buffer.from(hkdfSync('sha256', secret, '', 'latchkey sealed data', 32))
  return {
    id: createHash('sha256').update('latchkey sealed data key\0').update(key).digest().subarray(0, KEY_ID_BYTES),
    key,
  }
}
