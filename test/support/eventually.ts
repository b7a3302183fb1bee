import { setTimeout as sleep } from 'node:timers/promises'

/**
 * Polls until the condition holds. Returns how many milliseconds that took.
 *
 * @param within how long to poll at most, in milliseconds. Only a failing test waits this long
 * @throws Error when the condition does not hold within that time
 */
export async function eventually(condition: () => boolean | Promise<boolean>, within = 60_000): Promise<number> {
  const began = performance.now()
  // Short pauses make a short wait exact. Longer pauses make a long wait cheap.
  for (let pause = 2; !(await condition()); pause = Math.min(pause * 1.2, 25)) {
    if (performance.now() - began > within) throw new Error(`the condition did not hold within ${within} ms`)
    await sleep(pause)
  }
  return performance.now() - began
}

/**
 * Repeats the act until it succeeds, and returns its result: on a busy machine a store or a service may exceed a timeout.
 *
 * @throws the error of the last try, when a minute has passed
 */
export async function untilItSucceeds<Result>(act: () => Promise<Result>): Promise<Result> {
  for (const began = performance.now(); ; await sleep(25)) {
    try {
      return await act()
    } catch (error) {
      if (performance.now() - began > 60_000) throw error
    }
  }
}

/**
 * Polls until the token is refused. Returns how many requests were accepted although they began later than the limit after
 * this call. On a slow machine an answer takes longer, but none of these requests may be accepted.
 *
 * @param limit in milliseconds
 */
export async function countAcceptedLate(isRefused: () => Promise<boolean>, limit = 1000): Promise<number> {
  const ended = performance.now()
  let late = 0
  await eventually(async () => {
    const began = performance.now()
    if (await isRefused()) return true
    if (began - ended > limit) late += 1
    return false
  })
  return late
}

/** Waits until the clock shows another second. Times of issue and of revocation are whole seconds. */
export async function untilNextSecond(): Promise<void> {
  const second = () => Math.floor(Date.now() / 1000)
  const now = second()
  await eventually(() => second() > now)
}
