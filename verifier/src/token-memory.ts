/** Half of the tokens that are remembered: 15 MB of usual ones in all, those that a service sees again and again. */
const GENERATION = 5000
/** First sightings until they are forgotten, all at once. */
const MAX_SIGHTINGS = 8192
const SIGHTING_SLOTS = 2 ** 16

/** What was found out about tokens that come again and again. */
export interface TokenMemory<Finding> {
  recall(token: string): Finding | undefined
  remember(token: string, finding: Finding): void
}

/**
 * A memory of genuine tokens alone: ask it nothing, and tell it nothing, of a token whose signature does not verify.
 *
 * It takes the check of a token that comes again from 8 µs to less than one. A token that comes once costs next to
 * nothing: it is put down at its second sighting, and of the first, a mark is left. And the oldest go by
 * the half: a Map from which the first is deleted, one at a time, took 6 µs to find it.
 */
export function createTokenMemory<Finding>(): TokenMemory<Finding> {
  const sightings = new Uint8Array(SIGHTING_SLOTS)
  let sighted = 0
  let young = new Map<string, Finding>()
  let old = new Map<string, Finding>()

  function keep(token: string, finding: Finding): void {
    if (young.size >= GENERATION) {
      old = young
      young = new Map()
    }
    // A copy: a token that was cut out of a request's body keeps that whole body in memory.
    young.set(Buffer.from(token, 'latin1').toString('latin1'), finding)
  }

  return {
    recall(token) {
      const finding = young.get(token)
      if (finding !== undefined) return finding
      const before = old.get(token)
      if (before !== undefined) keep(token, before)
      return before
    },

    remember(token, finding) {
      // A signature is as good as random: its last characters but one are the slot. Where two tokens share it, one is
      // kept too soon, and that is all.
      let slot = 0
      for (let i = token.length - 6; i < token.length - 1; i += 1)
        slot = (slot * 37 + token.charCodeAt(i)) % SIGHTING_SLOTS
      if (sightings[slot] === 0) {
        if (sighted >= MAX_SIGHTINGS) {
          sightings.fill(0)
          sighted = 0
        }
        sightings[slot] = 1
        sighted += 1
        return
      }
      keep(token, finding)
    },
  }
}
