import type { Clock, Moment } from '../clock.js'
import { CLOCK_LEEWAY } from '../token/claims.js'

/** An answer of Redis to `TIME`. */
interface RedisTime {
  /** Just before Redis was asked, and just after the answer was read. */
  sent: Moment
  received: Moment
  /** The answer, in Unix milliseconds. */
  time: number
}

/** Redis's clock, compared with the monotonic clock of this process. */
interface RedisClock {
  /** @returns false if Redis's clock differs from our wall clock by more than the leeway */
  update(time: RedisTime): boolean
  /** A moment on Redis's clock, as milliseconds after a moment of this process. The true moment may be later. */
  millisecondsAfter(moment: Moment, redisTime: number): number
  /** A new connection may lead to another Redis with another clock. */
  reset(): void
  /** Redis's clock now, in Unix milliseconds. The true time may be earlier. */
  readonly now: number
}

/**
 * Estimates Redis's clock.
 *
 * The arrival of an entry proves nothing: an old heartbeat may have waited in a buffer. So the age of an entry is taken on
 * Redis's clock, which dated the entry. Redis read its clock after the question was sent. So Redis's clock is ahead of ours by
 * at most the difference between its answer and the time of the question. The smallest difference is the best estimate, until
 * an answer contradicts it.
 */
export function createRedisClock(clock: Clock): RedisClock {
  /** Redis's clock minus our monotonic clock, at most. */
  let maxOffset = Number.POSITIVE_INFINITY

  return {
    update({ sent, received, time }) {
      // Redis's clock was set forward, or runs faster than ours.
      if (time > maxOffset + received.monotonic) maxOffset = Number.POSITIVE_INFINITY
      maxOffset = Math.min(maxOffset, time - sent.monotonic)
      return Math.abs(received.wall - time) <= CLOCK_LEEWAY * 1000
    },

    millisecondsAfter: (moment, redisTime) => redisTime - maxOffset - moment.monotonic,

    reset() {
      maxOffset = Number.POSITIVE_INFINITY
    },

    get now() {
      return clock.now().monotonic + maxOffset
    },
  }
}
