import type { Clock, Moment } from '../clock.js'
import { CLOCK_LEEWAY } from '../token/claims.js'

/** An answer of Redis, and what had been heard by then. */
export interface Proof {
  /** Just before Redis was asked for its time, and just after it answered. */
  sent: Moment
  received: Moment
  /** What it answered, Unix milliseconds. */
  redisTime: number
  /** When the last entry that we have was written, Unix milliseconds of Redis's clock. */
  heard: number
}

export interface Freshness {
  /** Whether all is known that was written until `maxStaleness` ago. */
  isFresh(): boolean
  prove(proof: Proof): void
  /** What was proven counts no longer; and with `reconnected`, it may be another Redis, with another clock. */
  lose(reconnected?: boolean): void
  /** Redis's clock now, Unix milliseconds: it may be a little less. */
  readonly redisNow: number
}

/**
 * How old what we know is.
 *
 * When an entry came in says little: it may have waited in a buffer, and an old heartbeat that comes late must not pass for
 * news. So its age is taken on Redis's clock, by which it was written, and Redis's clock is brought over to ours by asking
 * for it: what it answered was so at some moment after we asked, hence it is ahead of our clock by at most the difference
 * to then. The least such difference is the best, until an answer contradicts it.
 */
export function createFreshness(maxStaleness: number, clock: Clock): Freshness {
  /** How far Redis's clock is ahead of our monotonic clock, at most. */
  let ahead = Number.POSITIVE_INFINITY
  /** When the last proof was asked for, and for how many milliseconds from then what we know is fresh. */
  let provenAt = clock.now()
  let freshFor = Number.NEGATIVE_INFINITY

  return {
    isFresh: () => clock.elapsedSince(provenAt) <= freshFor,

    prove({ sent, received, redisTime, heard }) {
      // Its clock was set forward, or runs faster than ours.
      if (redisTime > ahead + received.monotonic) ahead = Number.POSITIVE_INFINITY
      ahead = Math.min(ahead, redisTime - sent.monotonic)
      // A token says when it was issued, Redis when it was emptied or a session ended: with clocks so far apart the one
      // cannot be compared with the other.
      if (Math.abs(received.wall - redisTime) > CLOCK_LEEWAY * 1000) return
      // From the future: Redis's clock was set back, or the primary before this one was ahead of it. The age of such an
      // entry cannot be told, and nothing is proven until the clock has passed it.
      if (heard > redisTime) return
      provenAt = sent
      freshFor = heard - ahead + maxStaleness - sent.monotonic
    },

    lose(reconnected = false) {
      if (reconnected) ahead = Number.POSITIVE_INFINITY
      else freshFor = Number.NEGATIVE_INFINITY
    },

    get redisNow() {
      return clock.now().monotonic + ahead
    },
  }
}
