/** Entries in each of the two generations. The whole cache takes about 15 MB with tokens of usual size. */
const GENERATION_SIZE = 5000
/** The doorkeeper is cleared after this number of first sightings. */
const MAX_SIGHTINGS = 8192
const DOORKEEPER_SLOTS = 2 ** 16

/** A cache of values, for example claims, that were computed from genuine tokens. */
interface TokenCache<Value> {
  get(token: string): Value | undefined
  /** Stores the value at the second call for a token. The first call only marks the token as seen. */
  add(token: string, value: Value): void
  /** Stores the value at the first call. */
  put(token: string, value: Value): void
}

interface Entry<Value> {
  token: string
  value: Value
}

/** 132 bits of the signature. No two genuine tokens share them. */
const keyOf = (token: string) => token.slice(-22)

/**
 * A cache of genuine tokens. Never add a token whose signature is not valid. For a token that returns, the check takes less
 * than 1 µs and not 8 µs. A token that comes once costs almost nothing.
 *
 * - The doorkeeper (as in TinyLFU) keeps tokens out that come once: `add` stores a token at its second sighting.
 * - Eviction drops the older generation as a whole. Deleting the first entry of a Map one at a time took 6 µs.
 * - The key is the end of the signature, and `get` then compares the whole token. Hashing a whole token took 0.6 µs more.
 */
export function createTokenCache<Value>(): TokenCache<Value> {
  const doorkeeper = new Uint8Array(DOORKEEPER_SLOTS)
  let sightings = 0
  let young = new Map<string, Entry<Value>>()
  let old = new Map<string, Entry<Value>>()

  function store(token: string, value: Value): void {
    if (young.size >= GENERATION_SIZE) {
      old = young
      young = new Map()
    }
    // Copy the token: a string that was cut out of a request body keeps the whole body in memory.
    const copy = Buffer.from(token, 'latin1').toString('latin1')
    young.set(keyOf(copy), { token: copy, value })
  }

  return {
    get(token) {
      const key = keyOf(token)
      const entry = young.get(key)
      if (entry?.token === token) return entry.value
      const older = old.get(key)
      if (older?.token !== token) return undefined
      store(token, older.value)
      return older.value
    },

    put: store,

    add(token, value) {
      // The characters of a signature are as good as random, so they choose the slot. If two tokens share a slot, one of them
      // is stored at its first sighting, which does no harm.
      let slot = 0
      for (let i = token.length - 6; i < token.length - 1; i += 1)
        slot = (slot * 37 + token.charCodeAt(i)) % DOORKEEPER_SLOTS
      if (doorkeeper[slot] === 0) {
        if (sightings >= MAX_SIGHTINGS) {
          doorkeeper.fill(0)
          sightings = 0
        }
        doorkeeper[slot] = 1
        sightings += 1
        return
      }
      store(token, value)
    },
  }
}
