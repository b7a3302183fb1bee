import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { fetchFailure, fetchJsonOnce } from '../bounded-fetch.js'
import type { ClientAuthentication } from '../client-authentication.js'
import type { Clock, Moment } from '../clock.js'
import { CLOCK_LEEWAY } from '../token/claims.js'
import type { Feed } from './feed.js'
import { type FeedAnswer, parseFeedAnswer } from './feed-answer.js'
import type { Freshness } from './freshness.js'
import { MAX_RETENTION, type RevocationList } from './revocation-list.js'

/** Milliseconds for which the service may hold an answer back until there is news. A quarter of `maxStaleness`, at most this. */
const MAX_WAIT = 250
/** Milliseconds until the last byte of an answer, besides the wait. */
const ANSWER_TIMEOUT = 750
/** Bytes of an answer. The service sends about 256 KB at most. */
const MAX_ANSWER_SIZE = 4 * 1024 * 1024
/** Answers in a row with `more`. Past this number the server is not one that follows the contract. */
const MAX_PAGES = 10_000
/** Milliseconds to wait after news. A burst of revocations is then read in pages, not one by one. */
const PAUSE_AFTER_NEWS = 5
/** Milliseconds. */
const MAX_BACKOFF = 1000
/** Milliseconds. Revocations stay in memory for this time, and for the longest lifetime that was seen in a token. */
const MIN_RETENTION = 20 * 60_000

export interface HttpFeedOptions {
  endpoint: string
  authentication: ClientAuthentication
  maxStaleness: number
}

/**
 * Reads the feed at `GET /revocations`.
 *
 * The service read its store `read_after_ms` after the request arrived. So the answers so far have every revocation that was
 * acknowledged until `read_after_ms` after the request was sent. That is the whole proof: it needs no other clock than ours, and
 * a delayed answer only proves less.
 */
export function createHttpFeed(
  options: HttpFeedOptions,
  list: RevocationList,
  freshness: Freshness,
  clock: Clock,
): Feed {
  const wait = Math.min(MAX_WAIT, Math.floor(options.maxStaleness / 4))
  const limits = { timeout: wait + ANSWER_TIMEOUT, size: MAX_ANSWER_SIZE }
  const closing = new AbortController()
  /** The place in the feed. Undefined before its start. */
  let place: { feed: string; cursor: string } | undefined
  /** Whether the feed has been read from its start to its end. */
  let isWhole = false
  /** Answers in a row with `more`. */
  let pages = 0
  /** Milliseconds of the last pause after an answer that came early and without news. */
  let earlyPause = PAUSE_AFTER_NEWS
  /** An entry of an unknown form came at this time: it may concern any token from before. Unix milliseconds. */
  let unknownUntil = 0
  let malformed = 0
  let lastError: string | undefined
  let backlogAt: Moment | undefined
  const running = run()

  async function run(): Promise<void> {
    let backoff = 0
    while (!closing.signal.aborted) {
      try {
        await pause(await readNext())
        backoff = 0
      } catch (error) {
        if (closing.signal.aborted) return
        lastError = fetchFailure(error)
        backoff = Math.min(backoff * 2 + 50, MAX_BACKOFF)
        await pause(backoff * (0.5 + Math.random() / 2))
      }
    }
  }

  function pause(milliseconds: number): Promise<void> {
    return sleep(milliseconds, undefined, { signal: closing.signal }).catch(() => {})
  }

  /** Reads one answer. Returns the milliseconds to wait before the next request. */
  async function readNext(): Promise<number> {
    const { status, headers, body, sent } = await fetchJsonOnce(address(), makeRequest, limits, clock, closing.signal)
    const received = clock.now()
    if (status !== 200) throw new Error(`the service answered ${status}`)
    const answer = parseFeedAnswer(body)
    // The service wrote this second into its answer, and so after each revocation in it.
    const date = Date.parse(headers.get('date') ?? '')
    // A revocation counts, even if the rest proves nothing.
    add(answer, date, received)

    if (Number(headers.get('age') ?? 0) > 0) throw new Error('a cache answered: let it pass /revocations through')
    if (place && place.feed !== answer.feed) {
      // Something may have been lost. This answer may begin anywhere, so read the feed from its start.
      restart()
      return 0
    }
    if (answer.more && answer.cursor === place?.cursor) throw new Error('the cursor of the feed does not move')
    place = { feed: answer.feed, cursor: answer.cursor }
    list.setEpoch(answer.epoch)
    if (answer.more) {
      backlogAt = received
      pages += 1
      if (pages > MAX_PAGES) {
        restart()
        throw new Error('the feed does not end')
      }
      return 0
    }
    pages = 0
    if (!isWhole) {
      isWhole = true
      list.coverSince(unknownUntil)
    }
    lastError = describeClocks(date, sent, received)
    if (lastError === undefined) {
      freshness.prove(sent, Math.min(answer.readAfter, received.monotonic - sent.monotonic))
      if (!Number.isNaN(date)) list.forgetBefore(date - retention())
    }
    if (answer.hasNews) {
      earlyPause = PAUSE_AFTER_NEWS
      return PAUSE_AFTER_NEWS
    }
    const early = wait - clock.elapsedSince(sent)
    if (early <= PAUSE_AFTER_NEWS) {
      earlyPause = PAUSE_AFTER_NEWS
      return wait === 0 ? PAUSE_AFTER_NEWS : 0
    }
    // The service answered before `wait` was over, and without news. A follower that is behind gets one such answer: ask again
    // soon. If every answer comes early, the pauses grow to `wait`.
    earlyPause = Math.min(earlyPause * 2, early)
    return earlyPause
  }

  function restart(): void {
    place = undefined
    isWhole = false
    pages = 0
    freshness.reset()
  }

  function address(): string {
    const url = new URL(options.endpoint)
    if (place) url.searchParams.set('after', place.cursor)
    url.searchParams.set('wait', String(wait))
    // No cache can have an answer for this address. The service ignores the parameter.
    url.searchParams.set('nonce', randomBytes(9).toString('base64url'))
    return url.href
  }

  async function makeRequest(): Promise<RequestInit> {
    return {
      headers: {
        ...(await options.authentication.headers(limits.timeout)),
        accept: 'application/json',
        'accept-encoding': 'identity',
        'cache-control': 'no-cache, no-store',
      },
    }
  }

  function add({ revocations, unknown }: FeedAnswer, date: number, received: Moment): void {
    // Without a date, a revocation is never forgotten. Dates are rounded down to the second. The clock of one instance may be
    // behind: its date would make this list forget the revocation too early, by the right date of another instance.
    const at = Number.isNaN(date) ? Number.POSITIVE_INFINITY : Math.floor(Math.max(date, received.wall) / 1000) + 1
    for (const revocation of revocations) {
      if ('sids' in revocation) for (const sid of revocation.sids) list.addSession(sid, at)
      else list.addClient(revocation.clientId, revocation.issuedUntil, at)
    }
    if (unknown === 0) return
    malformed += unknown
    unknownUntil = Math.max(unknownUntil, at * 1000)
    if (isWhole) list.coverSince(unknownUntil)
  }

  function retention(): number {
    return Math.min(MAX_RETENTION, Math.max(MIN_RETENTION, (list.longestLifetime + 120) * 1000))
  }

  return {
    whyNotFresh: () => `the feed of revocations cannot be read: ${lastError ?? 'the service has not answered yet'}`,

    get backlogAt() {
      return backlogAt
    },

    get malformedEntries() {
      return malformed
    },

    async close() {
      closing.abort()
      await running
    },
  }
}

/**
 * Why the times of issue in tokens cannot be compared with our clock, or undefined if they can. A clock that was set wrong would
 * also make expired tokens valid. An old answer of a cache looks like a service whose clock is behind.
 */
function describeClocks(date: number, sent: Moment, received: Moment): string | undefined {
  const leeway = CLOCK_LEEWAY * 1000
  const isBehind = date + 1000 < sent.wall - leeway
  const isAhead = date > received.wall + leeway
  if (!isBehind && !isAhead) return undefined
  return `the clock of the service is ${isBehind ? 'behind' : 'ahead of'} ours by more than ${CLOCK_LEEWAY} s: set both clocks`
}
