import { setTimeout as sleep } from 'node:timers/promises'

/**
 * Polls until the condition holds, and returns how many milliseconds that took.
 *
 * @param within how long to poll at most, in milliseconds. Only a test that fails waits for it
 * @throws Error when the condition does not hold within that time
 */
export async function eventually(condition: () => boolean | Promise<boolean>, within = 30_000): Promise<number> {
  const began = performance.now()
  while (!(await condition())) {
    if (performance.now() - began > within) throw new Error(`the condition did not hold within ${within} ms`)
    await sleep(5)
  }
  return performance.now() - began
}
