import type { Clock, Moment } from '../clock.js'

/** The age of what a follower knows. */
export interface Freshness {
  /** Whether every revocation until `maxStaleness` ago is known. */
  isFresh(): boolean
  /** Every revocation is known until `knownFor` milliseconds after `sent`. It may be negative. */
  prove(sent: Moment, knownFor: number): void
  /** The earlier proofs count no longer. */
  reset(): void
}

export function createFreshness(maxStaleness: number, clock: Clock): Freshness {
  /** The last proof counts for `freshFor` milliseconds after this moment. */
  let provenAt = clock.now()
  let freshFor = Number.NEGATIVE_INFINITY

  return {
    isFresh: () => clock.elapsedSince(provenAt) <= freshFor,

    prove(sent, knownFor) {
      provenAt = sent
      freshFor = knownFor + maxStaleness
    },

    reset() {
      freshFor = Number.NEGATIVE_INFINITY
    },
  }
}
