import { randomBytes } from 'node:crypto'
import type { SessionStore } from '../sessions/session.js'
import { renderAnswer } from './answer.js'
import { type Cursor, keyOf } from './cursor.js'
import { createPage, MAX_REVOCATIONS } from './page.js'

export interface OldEntriesRequest {
  after: Cursor | undefined
  /** Milliseconds of the monotonic clock. */
  arrivedAt: number
  resolve: (text: string) => void
  reject: (error: unknown) => void
}

/** Reads at once: each page of 1,000 keeps the event loop and the store busy for some milliseconds. */
const MAX_READS = 2

/**
 * Answers requests for entries that are not in memory. Requests for the same entries share a read.
 *
 * @param answer sends an answer, in its turn
 */
export function createOldEntries(
  sessions: Pick<SessionStore, 'readFeed'>,
  answer: (send: () => void) => void,
): { read(request: OldEntriesRequest): void } {
  /** By the key of their cursor. */
  const waiting = new Map<string, OldEntriesRequest[]>()
  let reads = 0

  function readNext(): void {
    for (const [key, requests] of waiting) {
      if (reads === MAX_READS) return
      reads += 1
      waiting.delete(key)
      void readFor(requests).finally(() => {
        reads -= 1
        readNext()
      })
    }
  }

  async function readFor(requests: readonly OldEntriesRequest[]): Promise<void> {
    const readAt = performance.now()
    const after = requests[0]?.after
    try {
      const found = after && (await sessions.readFeed({ id: after.id }, MAX_REVOCATIONS + 1))
      const first = found?.entries[0]
      const isFound = after !== undefined && first !== undefined && keyOf(first) === after.key
      // The entry of the cursor is gone, so entries after it may be gone too. The follower begins again, under another name.
      const restart = after && !isFound ? `.${randomBytes(6).toString('base64url')}` : undefined
      const feed = isFound && found ? found : await sessions.readFeed('oldest', MAX_REVOCATIONS)
      const page = createPage(feed.entries, isFound ? 1 : 0, after?.key ?? '')
      if (feed.hasMore) page.hasMore = true
      for (const { after: cursor, arrivedAt, resolve } of requests) {
        answer(() => resolve(renderAnswer(feed, page, restart ?? cursor?.restart ?? '', readAt - arrivedAt)))
      }
    } catch (error) {
      for (const { reject } of requests) reject(error)
    }
  }

  return {
    read(request) {
      const key = request.after?.key ?? ''
      const requests = waiting.get(key)
      if (requests) requests.push(request)
      else waiting.set(key, [request])
      readNext()
    },
  }
}
