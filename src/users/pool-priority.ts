import { readlink } from 'node:fs/promises'
import { setPriority } from 'node:os'

/** As `nice -n 10`: a tenth of the weight. */
const NICE = 10

/**
 * Makes the threads that hash give way to the one that answers requests, where there is nothing like a core for each: Linux
 * alone has priorities a thread. A thread of the pool says itself which it is, for it is there that files are read.
 */
export async function lowerPoolPriority(): Promise<void> {
  const seen = new Set<string>()
  const threads = Number(process.env.UV_THREADPOOL_SIZE) || 4
  try {
    for (let round = 0; round < 8 && seen.size < threads; round += 1) {
      const links = await Promise.all(Array.from({ length: 32 }, () => readlink('/proc/thread-self')))
      for (const link of links) {
        if (seen.has(link)) continue
        seen.add(link)
        setPriority(Number(link.split('/').at(-1)), NICE)
      }
    }
  } catch {
    // No Linux, or no /proc: it goes as it went.
  }
}
