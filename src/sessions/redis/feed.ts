import { epochKey, feedKey, feedRetentionKey, parseWholeNumber, storeIdKey } from '@latchkey/verifier/redis-keys'
import { type FeedEntry, type FeedPage, type FeedStart, markOf, type Revocation } from '../feed.js'
import type { FeedReply, ScriptedClient } from './scripts.js'

/**
 * This process writes a heartbeat every 250 ms. If the feed is older and takes no heartbeat now, this Redis may be a primary
 * that was cut off, while others acknowledge revocations on its successor. Milliseconds.
 */
const MAX_FEED_AGE = 1000
/** A feed may begin this long after the epoch. Milliseconds. */
const FIRST_HEARTBEAT = 2000
const SESSION_ID = /^[\w-]{1,128}$/

interface Writer {
  /** Milliseconds for which the tokens of this process need an entry. */
  kept: number
  heartbeat(): Promise<void>
}

export async function readRedisFeed(
  redis: ScriptedClient,
  { kept, heartbeat }: Writer,
  from: FeedStart,
  limit: number,
): Promise<FeedPage> {
  const first = from === 'oldest' ? '-' : from === 'newest' ? '+' : from.id
  const read = () => redis.lkReadFeed(feedKey, feedRetentionKey, first, limit)
  let reply = await read()
  if (!hasWriter(reply)) {
    await heartbeat()
    reply = await read()
    if (!hasWriter(reply)) throw new Error('the feed of revocations takes no heartbeat')
  }
  const [now, retention, oldest, newest, entries] = reply
  // Name and epoch after the entries. If Redis is emptied in between, an old feed gets a new name, and its readers start again.
  // In the other order, the entries of an empty feed would pass for those of the old one.
  const [epochText, name] = await Promise.all([redis.get(epochKey), redis.get(storeIdKey)])
  const epoch = parseWholeNumber(epochText)
  if (epoch === undefined || name === null)
    throw new Error('this Redis has lost its epoch or the id of the session store')

  // In a cluster the feed and the epoch may be on different nodes, so the feed alone may be lost. A new feed lacks the earlier
  // revocations. So the epoch of the answer is its first entry: nothing is known of tokens that were issued before.
  const begins = writtenAt(oldest)
  const isWhole = begins <= Math.max(epoch * 1000 + FIRST_HEARTBEAT, now - Math.max(kept, retention))
  return {
    name,
    epoch: isWhole ? epoch : Math.ceil(begins / 1000),
    entries: entries.map(toEntry),
    hasMore: entries.length > 0 && entries.at(-1)?.[0] !== newest,
  }
}

const hasWriter = ([now, , , newest]: FeedReply) => newest !== '' && now - writtenAt(newest) <= MAX_FEED_AGE

const writtenAt = (id: string) => Number.parseInt(id, 10)

function toEntry([id, fields]: [id: string, fields: string[]]): FeedEntry {
  return { id, mark: markOf(fields.at(-1) ?? ''), revocation: toRevocation(fields) }
}

/** An entry names sessions (`sid`), or a client (`sub`) and a time (`nbf`). Everything else revokes nothing. */
function toRevocation(fields: readonly string[]): Revocation | undefined {
  const values = (name: string) => fields.filter((_, i) => i % 2 === 1 && fields[i - 1] === name)
  const sids = values('sid').filter((sid) => SESSION_ID.test(sid))
  if (sids.length > 0) return { sids }
  const [clientId] = values('sub')
  const issuedUntil = parseWholeNumber(values('nbf')[0])
  return clientId !== undefined && issuedUntil !== undefined ? { clientId, issuedUntil } : undefined
}
