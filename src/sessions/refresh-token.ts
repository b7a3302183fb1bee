import { createHmac, createSecretKey, type KeyObject, timingSafeEqual } from 'node:crypto'

/** The content of a refresh token. The store keeps only its generation. */
export interface RefreshTokenPayload {
  sub: string
  sid: string
  generation: number
}

export interface RefreshTokens {
  /** Makes the token of a payload. The same payload always gives the same token, so a retry gets the same answer. */
  mint(payload: RefreshTokenPayload): string
  /** The payload of a genuine token of any age, or undefined. A forged token costs one MAC and no I/O. */
  read(token: string): RefreshTokenPayload | undefined
  /** Like `read`, but returns `unknown_key` if the token names a key that is not loaded: such a token may be genuine. */
  readForRevocation(token: string): RefreshTokenPayload | 'unknown_key' | undefined
}

/** The prefix never changes, so that secret scanners find a leaked token. */
const PREFIX = 'lkr_'

/** Whether the text claims to be a refresh token. It may still be forged. */
export const looksLikeRefreshToken = (text: string): boolean => text.startsWith(PREFIX)
const UUID_BYTES = 16
/** An id of another system, with NUL behind it. Both lengths are fixed, so no token can be read in two ways. */
const FOREIGN_ID_BYTES = 64
const SID_BYTES = 16
const GENERATION_BYTES = 6
const KEY_ID_BYTES = 4
const MAC_BYTES = 32
/** The bytes behind the id of the user. */
const REST_BYTES = SID_BYTES + GENERATION_BYTES + KEY_ID_BYTES + MAC_BYTES
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
/** The length of a token, in characters, and of the id of its user, in bytes. */
const SUB_BYTES = new Map(
  [UUID_BYTES, FOREIGN_ID_BYTES].map((bytes) => [PREFIX.length + Math.ceil(((bytes + REST_BYTES) * 4) / 3), bytes]),
)
const MAX_GENERATION = 2 ** (8 * GENERATION_BYTES) - 1

/**
 * A refresh token is `lkr_` and the base64url of user (16 bytes for a UUID, 64 for another id), session (16), generation (6), key
 * id (4) and HMAC-SHA-256 (32). A forged token and a token of a key that is not loaded differ in the key id.
 *
 * @param keys the first key signs; all keys verify
 * @param issuer is part of the MAC: two deployments that share a key by mistake do not accept each other's tokens
 */
export function createRefreshTokens(keys: readonly [string, ...string[]], issuer: string): RefreshTokens {
  const macKeys = keys.map(toMacKey) as [MacKey, ...MacKey[]]
  const context = Buffer.from(`latchkey refresh token\0${issuer}\0`)
  const mac = (key: KeyObject, payload: Buffer) =>
    createHmac('sha256', key)
      .update(Buffer.concat([context, payload]))
      .digest()

  /** The parts of a token, and the keys that its key id names. Undefined if the token does not have this form. */
  function parse(token: string) {
    const subBytes = SUB_BYTES.get(token.length)
    if (subBytes === undefined || !token.startsWith(PREFIX)) return undefined
    const bytes = Buffer.from(token.slice(PREFIX.length), 'base64url')
    // A token has one spelling. White space, padding and spare bits are refused.
    if (bytes.length !== subBytes + REST_BYTES || PREFIX + bytes.toString('base64url') !== token) return undefined
    const payloadBytes = subBytes + SID_BYTES + GENERATION_BYTES
    const id = bytes.subarray(payloadBytes, payloadBytes + KEY_ID_BYTES)
    return {
      subBytes,
      payload: bytes.subarray(0, payloadBytes),
      presented: bytes.subarray(payloadBytes + KEY_ID_BYTES),
      candidates: macKeys.filter((each) => each.id.equals(id)),
    }
  }

  function readForRevocation(token: string): RefreshTokenPayload | 'unknown_key' | undefined {
    const parsed = parse(token)
    if (!parsed) return undefined
    const { subBytes, payload, presented, candidates } = parsed
    if (candidates.length === 0) return 'unknown_key'
    if (!candidates.some(({ key }) => timingSafeEqual(mac(key, payload), presented))) return undefined
    const generation = payload.readUIntBE(subBytes + SID_BYTES, GENERATION_BYTES)
    return generation < MAX_GENERATION
      ? {
          sub: readSub(payload.subarray(0, subBytes)),
          sid: payload.toString('base64url', subBytes, subBytes + SID_BYTES),
          generation,
        }
      : undefined
  }

  return {
    mint({ sub, sid, generation }) {
      const subBytes = UUID.test(sub) ? UUID_BYTES : FOREIGN_ID_BYTES
      const payload = Buffer.alloc(subBytes + SID_BYTES + GENERATION_BYTES)
      if (subBytes === UUID_BYTES) payload.write(sub.replaceAll('-', ''), 0, 'hex')
      else payload.write(sub, 0, 'latin1')
      payload.write(sid, subBytes, 'base64url')
      payload.writeUIntBE(generation, subBytes + SID_BYTES, GENERATION_BYTES)
      const [{ id, key }] = macKeys
      return PREFIX + Buffer.concat([payload, id, mac(key, payload)]).toString('base64url')
    },

    read(token) {
      const payload = readForRevocation(token)
      return payload === 'unknown_key' ? undefined : payload
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

function readSub(bytes: Buffer): string {
  if (bytes.length === UUID_BYTES) return formatUuid(bytes.toString('hex'))
  const end = bytes.indexOf(0)
  return bytes.toString('latin1', 0, end === -1 ? bytes.length : end)
}

function formatUuid(hex: string): string {
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}
