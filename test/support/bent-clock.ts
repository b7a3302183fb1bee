import { type Clock, createClock } from '@latchkey/verifier/clock'

export interface BentClock extends Clock {
  /** Moves the wall clock but not the monotonic clock, like a suspended machine. Milliseconds. */
  suspend(milliseconds: number): void
  /** Moves both clocks forward by this many milliseconds. */
  pass(milliseconds: number): void
  /** Moves the wall clock by this many milliseconds. A negative number moves it back. */
  setWall(milliseconds: number): void
}

/** The clocks of this process, which a test can also move. */
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
