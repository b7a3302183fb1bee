import { type Clock, createClock } from '@latchkey/verifier/clock'

export interface BentClock extends Clock {
  /** Moves the wall clock forward by this many milliseconds, and not the monotonic clock, as when a machine was suspended. */
  suspend(milliseconds: number): void
  /** Moves both clocks forward by this many milliseconds. */
  pass(milliseconds: number): void
  /** Moves the wall clock by this many milliseconds. A negative number moves it back. */
  setWall(milliseconds: number): void
}

const HOUR = 60 * 60_000

/** After each of these, nothing that a process learned before counts as known for more than a second. */
export const CLOCK_JUMPS: Readonly<Record<string, (clock: BentClock) => void>> = {
  'suspended for 2 s': (clock) => clock.suspend(2000),
  'suspended for 4 hours': (clock) => clock.suspend(4 * HOUR),
  'set forward by an hour': (clock) => clock.setWall(HOUR),
  'set back by an hour, and 2 s went by': (clock) => {
    clock.setWall(-HOUR)
    clock.pass(2000)
  },
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
