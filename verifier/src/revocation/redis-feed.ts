import { setTimeout as sleep } from 'node:timers/promises'
import type { Clock, Moment } from '../clock.js'
import type { Feed } from './feed.js'
import type { Freshness } from './freshness.js'
import {
  createRedisConnection,
  type RedisConnection,
  type RedisLocation,
  requirePrimary,
  withTimeout,
} from './redis.js'
import { createRedisClock } from './redis-clock.js'
import { createEntryParser, entryTime, type FeedEntry } from './redis-entry.js'
import { epochKey, feedKey } from './redis-keys.js'
import type { RevocationList } from './revocation-list.js'

/** Entries in one answer. */
const PAGE_SIZE = 1000
/** Milliseconds for which Redis may hold an answer back until a new entry comes. */
const BLOCK_TIME = 250
/** Milliseconds. A connection without an answer for this time, and `BLOCK_TIME` if it applies, is replaced. */
const ANSWER_TIMEOUT = 500
/** Milliseconds to wait after an answer with entries. A burst of revocations is then read in pages, not one by one. */
const PAUSE_AFTER_ENTRIES = 5
/** Milliseconds. */
const CONNECT_TIMEOUT = 1500
/** Milliseconds. */
const MAX_BACKOFF = 1000

/** Reads the feed in Redis. A heartbeat in the feed proves freshness, at its age on Redis's own clock. */
export function createRedisFeed(redis: RedisLocation, list: RevocationList, freshness: Freshness, clock: Clock): Feed {
  const parser = createEntryParser(list)
  const redisClock = createRedisClock(clock)
  const closing = new AbortController()
  /** The last entry that was read. Undefined at the start of the feed. */
  let last: FeedEntry | undefined
  let lastError: Error | undefined
  let backlogAt: Moment | undefined
  let connection: RedisConnection | undefined
  const running = run()

  async function run(): Promise<void> {
    let backoff = 0
    while (!closing.signal.aborted) {
      try {
        // A connection that fails once is replaced. Its own reconnection might not notice that the connection hangs.
        connection = await createRedisConnection(redis, { retryStrategy: null, clusterRetryStrategy: null })
        await withTimeout(CONNECT_TIMEOUT, connection.connect())
        await withTimeout(ANSWER_TIMEOUT, requirePrimary(connection))
        redisClock.reset()
        while (!closing.signal.aborted) {
          await readNext(connection)
          backoff = 0
        }
      } catch (error) {
        lastError = error as Error
      }
      connection?.disconnect()
      backoff = Math.min(backoff * 2 + 50, MAX_BACKOFF)
      await sleep(backoff * (0.5 + Math.random() / 2), undefined, { signal: closing.signal }).catch(() => {})
    }
  }

  /** Reads the next entries, and then proves that no entry was missed. */
  async function readNext(connection: RedisConnection): Promise<void> {
    const previous = last
    const entries = await readFeed(connection, previous)
    // A revocation counts, even if the proof fails.
    parser.add(entries)

    const sent = clock.now()
    const [found, time, epoch] = await withTimeout(
      ANSWER_TIMEOUT,
      Promise.all([
        previous && connection.call('XRANGE', feedKey, previous[0], previous[0]),
        readTime(connection),
        connection.call('GET', epochKey),
      ]),
    )
    const received = clock.now()
    lastError = undefined

    // Entries are added at the end of the feed and removed from its start. If the previous entry is still there, every later
    // entry was read. If not, entries were removed unread, or this is another feed: Redis was emptied, or a replica took over
    // that did not have the entry. In another feed, ids may begin below ours.
    if (previous && !isSameEntry((found as FeedEntry[])[0], previous)) {
      last = undefined
      freshness.reset()
      return
    }
    if (!previous && entries[0]) list.coverSince(entryTime(entries[0]))
    last = entries.at(-1) ?? previous
    list.setEpoch(typeof epoch === 'string' && /^\d+$/.test(epoch) ? Number(epoch) : undefined)
    if (!last) return
    // The `iat` of a token is a time of the service's clock, and the epoch is a time of Redis's clock. If the clocks differ, the
    // two cannot be compared.
    const isComparable = redisClock.update({ sent, received, time })
    // Entries of this time may have wrong dates, and would be forgotten too early once Redis's clock is right again.
    if (!isComparable) list.coverSince(received.wall)
    // If the last entry is from the future, Redis's clock was set back, or the previous primary was ahead. Its age is unknown.
    if (isComparable && entryTime(last) <= time) {
      freshness.prove(sent, redisClock.millisecondsAfter(sent, entryTime(last)))
    }
    list.forgetBefore(redisClock.now - parser.retention)
    if (entries.length === PAGE_SIZE) backlogAt = received
    else if (entries.length > 0) await sleep(PAUSE_AFTER_ENTRIES)
  }

  return {
    whyNotFresh() {
      if (lastError) return `Redis is unavailable: ${lastError.message}`
      if (!last) return 'this Redis has no feed of revocations: start the service with this REDIS_URL'
      return `no service has written a heartbeat since ${new Date(entryTime(last)).toISOString()}, or the clock of Redis differs from ours by more than 5 s`
    },

    get backlogAt() {
      return backlogAt
    },

    get malformedEntries() {
      return parser.malformed
    },

    async close() {
      closing.abort()
      connection?.disconnect()
      await running
    },
  }
}

async function readFeed(connection: RedisConnection, after: FeedEntry | undefined): Promise<FeedEntry[]> {
  const id = after?.[0] ?? '0-0'
  const read = connection.call('XREAD', 'COUNT', PAGE_SIZE, 'BLOCK', BLOCK_TIME, 'STREAMS', feedKey, id)
  const answer = (await withTimeout(BLOCK_TIME + ANSWER_TIMEOUT, read)) as [key: string, entries: FeedEntry[]][] | null
  return answer?.[0]?.[1] ?? []
}

/** Redis's clock, in Unix milliseconds. In a cluster: the clock of the node that has the feed, because it dates the entries. */
async function readTime(connection: RedisConnection): Promise<number> {
  const time = connection.isCluster
    ? connection.call('EVAL', "return redis.call('TIME')", 1, feedKey)
    : connection.call('TIME')
  const [seconds, microseconds] = (await time) as [string, string]
  return Number(seconds) * 1000 + Number(microseconds) / 1000
}

/** Compares the fields too: another feed may have the same id by chance. Each heartbeat has a random field for this. */
function isSameEntry(entry: FeedEntry | undefined, other: FeedEntry): boolean {
  return entry !== undefined && entry[0] === other[0] && entry[1].join('\n') === other[1].join('\n')
}
