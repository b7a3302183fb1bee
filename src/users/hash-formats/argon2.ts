import { verify } from '@node-rs/argon2'
import {
  base64,
  checked,
  INVALID_PARAMETERS,
  MAX_BYTES,
  type ReadHash,
  TOO_COSTLY,
  UNREADABLE_SALT,
} from './password-hash.js'

/** KiB of memory × passes. */
const MAX_WORK = 1024 * 1024
const MAX_LANES = 16

/** A PHC string. Django writes `argon2` before it. */
export const readArgon2: ReadHash = (text) => {
  const match =
    /^(?:argon2)?(\$argon2(?:i|d|id)(?:\$v=(?:16|19))?\$m=([1-9]\d{0,6}),t=([1-9]\d{0,6}),p=([1-9]\d{0,2})\$([^$]+)\$([^$]+))$/.exec(
      text,
    )
  if (!match) return undefined
  const [, phc = '', memory, passes, lanes, saltText = '', outputText = ''] = match
  const [m, t, p] = [Number(memory), Number(passes), Number(lanes)]
  if (t < 1 || p < 1 || m < 8 * p) return INVALID_PARAMETERS
  if (m * 1024 > MAX_BYTES || m * t > MAX_WORK || p > MAX_LANES) return TOO_COSTLY
  // The library checks the salt again and throws. It does not take padding.
  const [salt, output] = [base64(saltText), base64(outputText)]
  if (!salt || salt.length < 8 || /[=.]/.test(saltText + outputText)) return UNREADABLE_SALT
  return checked(salt, output, () => ({ matches: (password) => verify(phc, password) }))
}
