import { createHmac, createSecretKey, type KeyObject, timingSafeEqual } from 'node:crypto'

/** What a refresh token says: the store keeps nothing of the token but the generation. */
export interface RefreshGrant {
  sub: string
  sid: string
  generation: number
}

export interface RefreshTokens {
  /** The token of a grant. The same grant always has the same token: that is what makes a retry safe. */
  mint(grant: RefreshGrant): string
  /** The grant of a genuine token, of any age, or undefined: a forged token costs one MAC and no I/O. */
  read(token: string): RefreshGrant | undefined
  /** The same, and `unknown_key` where the token names a key that is not here: it may be genuine all the same. */
  readForRevocation(token: string): RefreshGrant | 'unknown_key' | undefined
}

/** Fixed, so that secret scanners find a leaked token. */
const PREFIX = 'lkr_'
const SUB_BYTES = 16
const SID_BYTES = 16
const GENERATION_BYTES = 6
const GRANT_BYTES = SUB_BYTES + SID_BYTES + GENERATION_BYTES
const KEY_ID_BYTES = 4
const MAC_BYTES = 32
const TOKEN_BYTES = GRANT_BYTES + KEY_ID_BYTES + MAC_BYTES
const TOKEN_LENGTH = PREFIX.length + Math.ceil((TOKEN_BYTES * 4) / 3)
const MAX_GENERATION = 2 ** (8 * GENERATION_BYTES) - 1

/**
 * Refresh tokens: `lkr_` and the base64url of user (16 bytes), session (16), generation (6), id of the key (4)
 * and HMAC-SHA-256 (32). The id tells a token of a key that is not here, which may be genuine, from a forged one.
 *
 * @param keys the first signs, all verify
 * @param issuer goes into the MAC, so that two deployments that share a key by mistake do not share tokens
 */
export function createRefreshTokens(keys: readonly [string, ...string[]], issuer: string): RefreshTokens {
  const macKeys = keys.map(toMacKey) as [MacKey, ...MacKey[]]
  const context = Buffer.from(`latchkey refresh token\0${issuer}\0`)
  const mac = (key: KeyObject, grant: Buffer) =>
    createHmac('sha256', key)
      .update(Buffer.concat([context, grant]))
      .digest()

  /** The grant, and the keys that the token may be of; or undefined where it is not of our form. */
  function parse(token: string) {
    if (token.length !== TOKEN_LENGTH || !token.startsWith(PREFIX)) return undefined
    const bytes = Buffer.from(token.slice(PREFIX.length), 'base64url')
    // Only one spelling of a token is a token: no white space, no padding, no spare bits.
    if (bytes.length !== TOKEN_BYTES || PREFIX + bytes.toString('base64url') !== token) return undefined
    const id = bytes.subarray(GRANT_BYTES, GRANT_BYTES + KEY_ID_BYTES)
    return {
      grant: bytes.subarray(0, GRANT_BYTES),
      presented: bytes.subarray(GRANT_BYTES + KEY_ID_BYTES),
      candidates: macKeys.filter((each) => each.id.equals(id)),
    }
  }

  function readForRevocation(token: string): RefreshGrant | 'unknown_key' | undefined {
    const parsed = parse(token)
    if (!parsed) return undefined
    const { grant, presented, candidates } = parsed
    if (candidates.length === 0) return 'unknown_key'
    if (!candidates.some(({ key }) => timingSafeEqual(mac(key, grant), presented))) return undefined
    const generation = grant.readUIntBE(SUB_BYTES + SID_BYTES, GENERATION_BYTES)
    return generation < MAX_GENERATION
      ? {
          sub: formatUuid(grant.toString('hex', 0, SUB_BYTES)),
          sid: grant.toString('base64url', SUB_BYTES, SUB_BYTES + SID_BYTES),
          generation,
        }
      : undefined
  }

  return {
    mint({ sub, sid, generation }) {
      const grant = Buffer.alloc(GRANT_BYTES)
      grant.write(sub.replaceAll('-', ''), 0, 'hex')
      grant.write(sid, SUB_BYTES, 'base64url')
      grant.writeUIntBE(generation, SUB_BYTES + SID_BYTES, GENERATION_BYTES)
      const [{ id, key }] = macKeys
      return PREFIX + Buffer.concat([grant, id, mac(key, grant)]).toString('base64url')
    },

    read(token) {
      const grant = readForRevocation(token)
      return grant === 'unknown_key' ? undefined : grant
    },

    readForRevocation,
  }
}

interface MacKey {
  id: Buffer
  key: KeyObject
}

function toMacKey(secret: string): MacKey {
  const key = createSecretKey(secret, 'utf8')
  return { id: createHmac('sha256', key).update('latchkey refresh token key').digest().subarray(0, KEY_ID_BYTES), key }
}

function formatUuid(hex: string): string {
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}
