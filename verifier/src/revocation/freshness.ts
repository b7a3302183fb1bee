import type { Clock, Moment } from '../clock.js'
import { CLOCK_LEEWAY } from '../token/claims.js'

/** An answer of Redis, and the last entry of the feed that was known before. */
export interface RedisProof {
  /** Just before Redis was asked for its time, and just after the answer was read. */
  sent: Moment
  received: Moment
  /** The answer: Redis's clock in Unix milliseconds. */
  redisTime: number
  /** The time of the last known entry, in Unix milliseconds on Redis's clock. */
  lastEntryAt: number
}

export interface RedisFreshness {
  /** Whether every entry that was written until `maxStaleness` ago is known. */
  isFresh(): boolean
  prove(proof: RedisProof): void
  /** The earlier proofs count no longer. */
  reset(): void
  /** A new connection may lead to another Redis with another clock. */
  forgetClock(): void
  /** Redis's clock now, in Unix milliseconds. The true time may be later. */
  readonly redisNow: number
}

/**
 * The age of what a follower of Redis knows.
 *
 * The arrival of an entry proves nothing: an old heartbeat may have waited in a buffer. So the age of an entry is taken on
 * Redis's clock, which dated the entry. Redis read its clock after the question was sent. So Redis's clock is ahead of ours by
 * at most the difference between its answer and the time of the question. The smallest difference is the best estimate, until
 * an answer contradicts it.
 */
export function createRedisFreshness(maxStaleness: number, clock: Clock): RedisFreshness {
  /** Redis's clock minus our monotonic clock, at most. */
  let maxOffset = Number.POSITIVE_INFINITY
  /** The last proof counts for `freshFor` milliseconds after this moment. */
  let provenAt = clock.now()
  let freshFor = Number.NEGATIVE_INFINITY

  return {
    isFresh: () => clock.elapsedSince(provenAt) <= freshFor,

    prove({ sent, received, redisTime, lastEntryAt }) {
      // Redis's clock was set forward, or runs faster than ours.
      if (redisTime > maxOffset + received.monotonic) maxOffset = Number.POSITIVE_INFINITY
      maxOffset = Math.min(maxOffset, redisTime - sent.monotonic)
      // A token has the time of its issue, and Redis has the time when it was emptied. Clocks that differ more than the leeway
      // cannot be compared.
      if (Math.abs(received.wall - redisTime) > CLOCK_LEEWAY * 1000) return
      // Redis's clock was set back, or the previous primary was ahead. The age of such an entry is unknown.
      if (lastEntryAt > redisTime) return
      provenAt = sent
      freshFor = lastEntryAt - maxOffset + maxStaleness - sent.monotonic
    },

    reset() {
      freshFor = Number.NEGATIVE_INFINITY
    },

    forgetClock() {
      maxOffset = Number.POSITIVE_INFINITY
    },

    get redisNow() {
      return clock.now().monotonic + maxOffset
    },
  }
}
