import { createHash, timingSafeEqual } from 'node:crypto'
import { setImmediate as yieldToOthers } from 'node:timers/promises'
import { INVALID_PARAMETERS, type ReadHash, TOO_COSTLY } from './password-hash.js'

const DIGITS = './0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
/** The rounds are a power of two. WordPress has 2^13. */
const MIN_LOG_ROUNDS = 7
const MAX_LOG_ROUNDS = 17
/** Rounds of about a millisecond, after which other requests get the event loop: libuv's pool has no MD5. */
const SLICE = 512

/** The portable hashes of phpass: `$P$` of WordPress before 6.8, `$H$` of phpBB. MD5, again and again. */
export const readPhpass: ReadHash = (text) => {
  const match = /^\$[PH]\$([./0-9A-Za-z])([./0-9A-Za-z]{8})([./0-9A-Za-z]{22})$/.exec(text)
  if (!match) return undefined
  const [, rounds = '', salt = '', output = ''] = match
  const logRounds = DIGITS.indexOf(rounds)
  if (logRounds < MIN_LOG_ROUNDS) return INVALID_PARAMETERS
  if (logRounds > MAX_LOG_ROUNDS) return TOO_COSTLY
  return {
    async matches(password) {
      const text = Buffer.from(password)
      let digest = md5(Buffer.from(salt), text)
      for (let round = 0; round < 2 ** logRounds; round += 1) {
        digest = md5(digest, text)
        if (round % SLICE === SLICE - 1) await yieldToOthers()
      }
      return timingSafeEqual(Buffer.from(encode(digest)), Buffer.from(output))
    },
  }
}

const md5 = (salt: Buffer, text: Buffer) => createHash('md5').update(salt).update(text).digest()

/** The Base64 of phpass: three bytes, the lowest first, give four digits, the lowest first. */
function encode(bytes: Buffer): string {
  let text = ''
  for (let i = 0; i < bytes.length; i += 3) {
    const group = bytes.subarray(i, i + 3)
    const value = group.readUIntLE(0, group.length)
    for (let digit = 0; digit <= group.length; digit += 1) text += DIGITS[(value >> (6 * digit)) & 63]
  }
  return text
}
