import { AsyncLocalStorage } from 'node:async_hooks'
import type { SessionStore } from '../sessions/session.js'
import { createAnswerQueue, renderAnswer } from './answer.js'
import type { Cursor } from './cursor.js'
import { createOldEntries, type OldEntriesRequest } from './old-entries.js'
import { createTail } from './tail.js'

interface RevocationReader {
  /**
   * Reads what follows the cursor, from a store read that begins after this call. Resolves with a JSON text.
   *
   * @param after undefined: from the oldest entry
   * @param wait how long the answer may be held back while there is no revocation. Milliseconds
   * @param hasLeft whether the caller has left. Then the answer is empty, and the request leaves memory at the next read
   */
  read(after: Cursor | undefined, wait: number, hasLeft: () => boolean): Promise<string>
  /** How many requests are held back now. */
  waiting(): number
  /** Answers every request that is held back now. From now on, no request is held back. */
  close(): void
}

/** Milliseconds between two regular reads of the store. Only a regular read brings news to requests that are held back. */
const MIN_REGULAR_INTERVAL = 20
const MAX_REGULAR_INTERVAL = 250
/**
 * Milliseconds by which each request that waits for news lengthens the interval. News costs an instance about 0.04 ms for each
 * follower, so a third of a core is enough, however many revocations there are.
 */
const INTERVAL_PER_REQUEST = 0.12
/** Milliseconds between two reads for requests that do not wait for news. Those that arrive in between share the next read. */
const MIN_INTERVAL = 5
/** The most requests that wait for news. A request above this number is answered at once, also without news. */
const MAX_HELD = 10_000

/** A request that may be held back. */
interface FeedRequest extends OldEntriesRequest {
  /** Milliseconds of the monotonic clock. */
  heldUntil: number
  hasLeft: () => boolean
}

/** A read of the store. Times are milliseconds of the monotonic clock. */
interface Read {
  readAt: number
  isRegular: boolean
  /** The time of the next regular read. */
  nextAt: number
}

/**
 * Reads the feed for all followers of this instance. One read of the store answers every request that arrived before it,
 * whether 1 or 1,000. Requests that are held back hold no connection of the store, only their own.
 */
export function createRevocationReader(sessions: Pick<SessionStore, 'readFeed'>): RevocationReader {
  const tail = createTail(sessions)
  // The reads belong to no request: without this, a trace would add all of them to the first.
  const outsideRequests = AsyncLocalStorage.snapshot()
  const answer = createAnswerQueue()
  const oldEntries = createOldEntries(sessions, answer)
  let waiting: FeedRequest[] = []
  let isReading = false
  let isClosed = false
  let lastReadAt = Number.NEGATIVE_INFINITY
  let lastRegularAt = Number.NEGATIVE_INFINITY
  /** Requests at the last regular read. Most of these followers are about to come back. */
  let lastHeld = 0
  let timer: NodeJS.Timeout | undefined
  let timerDue = Number.POSITIVE_INFINITY

  const nextRegularAt = () => lastRegularAt + regularInterval(Math.max(waiting.length, lastHeld))
  /** Whether a request may not be held back until the next regular read. */
  const isHurried = ({ heldUntil }: FeedRequest) => heldUntil < nextRegularAt()

  /** Reads the store when the next request is due. */
  function schedule(isNextHurried: boolean): void {
    if (isReading || waiting.length === 0) return
    const due = isNextHurried ? lastReadAt + MIN_INTERVAL : nextRegularAt()
    if (timer && timerDue <= due) return
    clearTimeout(timer)
    timerDue = due
    timer = outsideRequests(() => setTimeout(readTail, Math.max(0, due - performance.now())))
  }

  async function readTail(): Promise<void> {
    timer = undefined
    isReading = true
    const readAt = performance.now()
    lastReadAt = readAt
    const requests = waiting
    // A timer may be a little early.
    const isRegular = readAt > nextRegularAt() - 1
    if (isRegular) {
      lastRegularAt = readAt
      lastHeld = requests.length
    }
    const nextAt = nextRegularAt()
    waiting = []
    try {
      await tail.readOn()
      for (const request of requests) answerFromTail(request, { readAt, isRegular, nextAt })
    } catch (error) {
      for (const { reject } of requests) reject(error)
    }
    isReading = false
    schedule(waiting.some(isHurried))
  }

  function answerFromTail(request: FeedRequest, { readAt, isRegular, nextAt }: Read): void {
    const { after, heldUntil, arrivedAt, hasLeft, resolve } = request
    const page = after && tail.after(after.key)
    if (hasLeft()) {
      resolve('')
    } else if (!page) {
      readOldEntries(request)
    } else if (heldUntil < nextAt || (isRegular && page.revocations !== '')) {
      const { name, epoch } = tail
      answer(() => resolve(renderAnswer({ name, epoch }, page, after.restart, readAt - arrivedAt)))
    } else {
      waiting.push(request)
    }
  }

  function readOldEntries(request: FeedRequest): void {
    outsideRequests(() => oldEntries.read(request))
  }

  return {
    read: (after, wait, hasLeft) =>
      new Promise((resolve, reject) => {
        const arrivedAt = performance.now()
        const isHeld = !isClosed && waiting.length < MAX_HELD
        const request = { after, arrivedAt, heldUntil: isHeld ? arrivedAt + wait : 0, hasLeft, resolve, reject }
        if (!after || tail.isTooOld(after.id)) return readOldEntries(request)
        waiting.push(request)
        schedule(isHurried(request))
      }),
    waiting: () => waiting.length,
    close() {
      isClosed = true
      for (const request of waiting) request.heldUntil = 0
      schedule(true)
    },
  }
}

const regularInterval = (held: number) =>
  Math.min(MAX_REGULAR_INTERVAL, Math.max(MIN_REGULAR_INTERVAL, held * INTERVAL_PER_REQUEST))
