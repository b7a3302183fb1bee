import { type Clock, createClock } from '@latchkey/verifier/clock'

export interface BentClock extends Clock {
  /** As after the machine was suspended: the wall clock has gone on, and the monotonic clock has not. Milliseconds. */
  suspend(milliseconds: number): void
  /** Time goes by, on both clocks. */
  pass(milliseconds: number): void
  /** Somebody sets the wall clock, backwards where this is less than 0. */
  setWall(milliseconds: number): void
}

/** The clocks of this process, which go on by themselves, and further when a test says so. */
export function bentClock(): BentClock {
  let monotonic = 0
  let wall = 0
  return {
    ...createClock(
      () => performance.now() + monotonic,
      () => Date.now() + wall,
    ),
    suspend(milliseconds) {
      wall += milliseconds
    },
    pass(milliseconds) {
      monotonic += milliseconds
      wall += milliseconds
    },
    setWall(milliseconds) {
      wall += milliseconds
    },
  }
}
