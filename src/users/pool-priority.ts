import { readlink } from 'node:fs/promises'
import { setPriority } from 'node:os'

/** As `nice -n 10`: about a tenth of the scheduler's weight. */
const NICE = 10

/**
 * Lowers the priority of libuv's thread pool, which hashes passwords. The main thread then answers requests before them when
 * cores are scarce. Only Linux has a priority for each thread. File reads run in the pool, so reading `/proc/thread-self`
 * returns the id of a pool thread.
 */
export function lowerPoolPriority(): Promise<void> {
  lowered ??= lowerEachThread()
  return lowered
}

/** The threads belong to the process, so once is enough. */
let lowered: Promise<void> | undefined

async function lowerEachThread(): Promise<void> {
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
    // Not Linux, or no /proc: the priorities stay as they are.
  }
}
