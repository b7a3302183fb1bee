import { setTimeout as sleep } from 'node:timers/promises'
import type { Clock, Moment } from '../clock.js'
import { createFreshness } from './freshness.js'
import { createLookup } from './lookup.js'
import { type RedisConnection, type RedisLocation, redisConnection, requirePrimary, within } from './redis.js'
import { epochKey, feedKey } from './redis-keys.js'
import type { Revocation } from './revocation.js'
import { createRevocationList, type FeedEntry, writtenAt } from './revocation-list.js'

/** Entries read at once. */
const PAGE = 1000
/** How long Redis may hold an answer back for want of news. Milliseconds, as everywhere here. */
const BLOCK = 250
/** Past that, how long an answer may take before the connection is given up for another. */
const ANSWER_TIMEOUT = 500
/** After news, so that a storm of revocations is read in pages and not one by one. */
const PAUSE = 5
const CONNECT_TIMEOUT = 1500
const LONGEST_BACKOFF = 1000
/** `ready` gives up when this passes and there is no backlog that is still being read. */
const READY_TIMEOUT = 5000

/**
 * Follows the feed of revocations and answers from memory; what memory cannot know for sure is looked up.
 *
 * A token is accepted without asking Redis only while all of this holds:
 * - the feed has been heard, without a gap, since before the token was issued, and no emptied Redis lies between;
 * - it was heard until `maxStaleness` ago or later, by the age of the last entry on Redis's own clock;
 * - the token's session has not been named in it.
 */
export function createFollower(redis: RedisLocation, maxStaleness: number, clock: Clock): Revocation {
  const lookup = createLookup(redis, clock)
  const list = createRevocationList()
  const freshness = createFreshness(maxStaleness, clock)
  const closing = new AbortController()
  /** Where we are in the feed; undefined at its beginning. */
  let last: FeedEntry | undefined
  let trouble: Error | undefined
  /** When we read what had piled up, the last time. */
  let backlogAt: Moment | undefined
  let connection: RedisConnection | undefined
  const running = run()

  async function run(): Promise<void> {
    let backoff = 0
    while (!closing.signal.aborted) {
      try {
        // A connection is used until it fails, and then thrown away: none is trusted to notice that it hangs.
        connection = await redisConnection(redis, { retryStrategy: null, clusterRetryStrategy: null })
        await within(CONNECT_TIMEOUT, connection.connect())
        await within(ANSWER_TIMEOUT, requirePrimary(connection))
        freshness.lose(true)
        while (!closing.signal.aborted) {
          await readOn(connection)
          backoff = 0
        }
      } catch (error) {
        trouble = error as Error
      }
      connection?.disconnect()
      backoff = Math.min(backoff * 2 + 50, LONGEST_BACKOFF)
      await sleep(backoff * (0.5 + Math.random() / 2), undefined, { signal: closing.signal }).catch(() => {})
    }
  }

  /** Takes in what comes next, then proves that nothing was missed. */
  async function readOn(connection: RedisConnection): Promise<void> {
    const anchor = last
    const entries = await readFeed(connection, anchor)
    // What is revoked is revoked, whatever the proof says.
    list.add(entries)

    const sent = clock.now()
    const [anchored, time, epoch] = await within(
      ANSWER_TIMEOUT,
      Promise.all([
        anchor && connection.call('XRANGE', feedKey, anchor[0], anchor[0]),
        timeOf(connection),
        connection.call('GET', epochKey),
      ]),
    )
    const received = clock.now()
    trouble = undefined

    // Entries are only ever added after the last and cut off before the first: where the one that we had read last still
    // is, all that came after it came to us. Where it is not, this is another feed (Redis was emptied, or a replica took
    // over that had not got so far, and ids may begin anew below ours), or we were away for longer than entries are kept.
    if (anchor && !isSame((anchored as FeedEntry[])[0], anchor)) {
      last = undefined
      freshness.lose()
      return
    }
    if (!anchor && entries[0]) list.beginAt(entries[0])
    last = entries.at(-1) ?? anchor
    list.setEpoch(typeof epoch === 'string' && /^\d+$/.test(epoch) ? Number(epoch) : undefined)
    if (!last) return
    freshness.prove({ sent, received, redisTime: time, heard: writtenAt(last) })
    list.forget(freshness.redisNow)
    if (entries.length === PAGE) backlogAt = received
    else if (entries.length > 0) await sleep(PAUSE)
  }

  function whyNotFresh(): string {
    if (trouble) return `Redis is not there: ${trouble.message}`
    if (!last) return 'there is no feed of revocations in this Redis: no service writes to it'
    return `no heartbeat of a service since ${new Date(writtenAt(last)).toISOString()}, or Redis's clock is not ours`
  }

  return {
    async ready() {
      const began = clock.now()
      while (!freshness.isFresh()) {
        if (closing.signal.aborted) throw new Error('the verifier is closed')
        if (Math.min(...[began, backlogAt ?? began].map(clock.elapsedSince)) > READY_TIMEOUT)
          throw new Error(whyNotFresh())
        await sleep(10)
      }
    },

    isLive(claims, token) {
      if (list.isRevoked(claims)) return false
      if (freshness.isFresh() && list.covers(claims)) return true
      return lookUp()

      async function lookUp(): Promise<boolean> {
        // Whatever Redis says, or if it says nothing: what was revoked does not come back.
        return (await lookup.isLive(claims, token)) && !list.isRevoked(claims)
      }
    },

    get malformedEntries() {
      return list.malformed
    },

    async close() {
      closing.abort()
      connection?.disconnect()
      await Promise.all([running, lookup.close()])
      // Not before: an answer that had come in already proves once more that we are fresh.
      freshness.lose()
    },
  }
}

async function readFeed(connection: RedisConnection, after: FeedEntry | undefined): Promise<FeedEntry[]> {
  const id = after?.[0] ?? '0-0'
  const read = connection.call('XREAD', 'COUNT', PAGE, 'BLOCK', BLOCK, 'STREAMS', feedKey, id)
  const answer = (await within(BLOCK + ANSWER_TIMEOUT, read)) as [key: string, entries: FeedEntry[]][] | null
  return answer?.[0]?.[1] ?? []
}

/** Redis's clock, Unix milliseconds: in a cluster, that of the node which has the feed and dates its entries. */
async function timeOf(connection: RedisConnection): Promise<number> {
  const time = connection.isCluster
    ? connection.call('EVAL', "return redis.call('TIME')", 1, feedKey)
    : connection.call('TIME')
  const [seconds, microseconds] = (await time) as [string, string]
  return Number(seconds) * 1000 + Number(microseconds) / 1000
}

/** A new feed may come upon an old id by chance; heartbeats carry a word of their own for that. */
function isSame(entry: FeedEntry | undefined, other: FeedEntry): boolean {
  return entry !== undefined && entry[0] === other[0] && entry[1].join('\n') === other[1].join('\n')
}
