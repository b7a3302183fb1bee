/** A moment on both clocks of a process. Milliseconds. */
export interface Moment {
  /** Since the process started. This clock stands still while the machine is suspended. */
  monotonic: number
  /** Unix time. This clock may be set, also backwards. */
  wall: number
}

/**
 * Measures how old something is. Neither clock alone can say it, so the clock that moved further counts: a suspended
 * laptop and a wall clock that is set back make nothing younger.
 */
export interface Clock {
  now(): Moment
  /** Unix milliseconds. */
  wall(): number
  /** Milliseconds, by the clock that moved further. */
  elapsedSince(moment: Moment): number
}

/** A clock made of two readers. The defaults are the clocks of this process. */
export function createClock(
  monotonic: () => number = () => performance.now(),
  wall: () => number = () => Date.now(),
): Clock {
  return {
    now: () => ({ monotonic: monotonic(), wall: wall() }),
    wall,
    elapsedSince: (moment) => Math.max(monotonic() - moment.monotonic, wall() - moment.wall),
  }
}

export const systemClock: Clock = createClock()

/** Two answers in a row were too old when this process read them. */
class LateAnswer extends Error {
  override readonly name = 'LateAnswer'
}

/**
 * Asks, and asks a second time if the first answer is older than `limit` milliseconds when this process reads it.
 *
 * A timer cannot detect this. When a stopped process wakes, it may read the socket before it runs its timers. It would take an
 * answer from before the stop for a new one. Use this for questions that change nothing.
 *
 * @param askedAt the moment when the question of an answer was sent. By default the moment before `ask` was called
 * @throws LateAnswer if the second answer is too old as well
 */
export async function askWithin<Answer>(
  limit: number,
  ask: () => Promise<Answer>,
  clock: Clock,
  askedAt?: (answer: Answer) => Moment,
): Promise<Answer> {
  for (let attempt = 0; attempt < 2; attempt += 1) {
    const asked = clock.now()
    const answer = await ask()
    if (clock.elapsedSince(askedAt?.(answer) ?? asked) <= limit) return answer
  }
  throw new LateAnswer(`two answers in a row were older than ${limit} ms when they were read`)
}
