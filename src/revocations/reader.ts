import { AsyncLocalStorage } from 'node:async_hooks'
import { randomBytes } from 'node:crypto'
import type { SessionStore } from '../sessions/session.js'
import { type Cursor, keyOf } from './cursor.js'
import { createPage, MAX_REVOCATIONS, type Page } from './page.js'
import { createTail } from './tail.js'

interface RevocationReader {
  /**
   * Reads what follows the cursor, from a store read that begins after this call. Resolves with a JSON text.
   *
   * @param after undefined: from the oldest entry
   * @param wait how long the answer may be held back while there is no revocation. Milliseconds
   * @param hasLeft whether nobody waits for the answer any more. Then it is empty, and leaves memory with the next read
   */
  read(after: Cursor | undefined, wait: number, hasLeft: () => boolean): Promise<string>
  /** How many requests are held back now. */
  waiting(): number
  /** Answers every request that is held back now. */
  release(): void
  /** From now on, no request is held back. */
  close(): void
}

/** Milliseconds between two regular reads of the store. Only a regular read brings news to requests that are held back. */
const MIN_REGULAR_INTERVAL = 20
const MAX_REGULAR_INTERVAL = 250
/**
 * Milliseconds by which each request that is held back lengthens the interval. News costs an instance about 0.04 ms for each
 * follower, so a third of a core is enough, however many revocations there are.
 */
const INTERVAL_PER_REQUEST = 0.12
/** Milliseconds between two reads for requests that are not held back. All requests in between share a read. */
const MIN_INTERVAL = 5
/** Answers that leave in one turn of the event loop. Other requests are served between two turns. */
const ANSWERS_PER_TURN = 8
/** Requests held back at once. A request above this number is answered at once. */
const MAX_HELD = 10_000
/** Reads of old entries at once: each page of 1,000 keeps the event loop and the store busy for some milliseconds. */
const OLD_READS = 2

interface FeedRequest {
  after: Cursor | undefined
  /** Times are milliseconds of the monotonic clock. */
  arrivedAt: number
  heldUntil: number
  hasLeft: () => boolean
  resolve: (text: string) => void
  reject: (error: unknown) => void
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
  let waiting: FeedRequest[] = []
  /** Requests for entries that are not in memory, by the key of their cursor. Requests for the same entries share a read. */
  const behind = new Map<string, FeedRequest[]>()
  let oldReads = 0
  let isReading = false
  let isClosed = false
  let lastReadAt = Number.NEGATIVE_INFINITY
  let lastRegularAt = Number.NEGATIVE_INFINITY
  /** Requests at the last regular read. Most of these followers are about to come back. */
  let lastHeld = 0
  /** Answers that are ready to leave. */
  const answers: (() => void)[] = []
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
      enqueueBehind(request)
    } else if (heldUntil < nextAt || (isRegular && page.revocations !== '')) {
      const { name, epoch } = tail
      answer(() => resolve(encode({ name, epoch }, page, after.restart, readAt - arrivedAt)))
    } else {
      waiting.push(request)
    }
  }

  function answer(send: () => void): void {
    if (answers.push(send) === 1) setImmediate(sendAnswers)
  }

  function sendAnswers(): void {
    for (const send of answers.splice(0, ANSWERS_PER_TURN)) send()
    if (answers.length > 0) setImmediate(sendAnswers)
  }

  function enqueueBehind(request: FeedRequest): void {
    const key = request.after?.key ?? ''
    const requests = behind.get(key)
    if (requests) requests.push(request)
    else behind.set(key, [request])
    outsideRequests(readBehind)
  }

  function readBehind(): void {
    for (const [key, requests] of behind) {
      if (oldReads === OLD_READS) return
      oldReads += 1
      behind.delete(key)
      void readOld(requests).finally(() => {
        oldReads -= 1
        readBehind()
      })
    }
  }

  async function readOld(requests: readonly FeedRequest[]): Promise<void> {
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
        answer(() => resolve(encode(feed, page, restart ?? cursor?.restart ?? '', readAt - arrivedAt)))
      }
    } catch (error) {
      for (const { reject } of requests) reject(error)
    }
  }

  function release(): void {
    for (const request of waiting) request.heldUntil = 0
    schedule(true)
  }

  return {
    read: (after, wait, hasLeft) =>
      new Promise((resolve, reject) => {
        const arrivedAt = performance.now()
        const isHeld = !isClosed && waiting.length < MAX_HELD
        const request = { after, arrivedAt, heldUntil: isHeld ? arrivedAt + wait : 0, hasLeft, resolve, reject }
        if (!after || tail.isTooOld(after.id)) return enqueueBehind(request)
        waiting.push(request)
        schedule(isHurried(request))
      }),
    waiting: () => waiting.length,
    release,
    close() {
      isClosed = true
      release()
    },
  }
}

const regularInterval = (held: number) =>
  Math.min(MAX_REGULAR_INTERVAL, Math.max(MIN_REGULAR_INTERVAL, held * INTERVAL_PER_REQUEST))

/** @param readAfter milliseconds from the arrival of the request to the read of the store */
function encode(
  { name, epoch }: { name: string; epoch: number },
  { lastKey, hasMore, revocations }: Page,
  restart: string,
  readAfter: number,
): string {
  // Rounded down: a later time would promise too much.
  const readAfterMs = Math.floor(readAfter * 1000) / 1000
  return (
    `{"feed":"${name}${restart}","epoch":${epoch},"cursor":"${lastKey}${restart}","more":${hasMore},` +
    `"read_after_ms":${readAfterMs},"revocations":[${revocations}]}`
  )
}
