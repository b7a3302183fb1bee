import { epochKey, feedKey } from '@latchkey/verifier/redis-keys'
import { Redis } from 'ioredis'
import { sql } from '../../src/database/kysely.js'
import { type Answer, type Api, basicAuthorization, untilAvailable } from './api.js'
import type { Credentials } from './clients.js'
import { openReadyDatabase } from './ready-database.js'
import type { Environment } from './service.js'

export interface FeedAnswer {
  feed: string
  epoch: number
  cursor: string
  more: boolean
  read_after_ms: number
  revocations: ({ sids: string[] } | { client_id: string; issued_until: number })[]
}

/** `GET /revocations`, as the client that the test's service has. */
export function getRevocations(
  api: Api,
  query: Record<string, string | number> = {},
  client: Credentials = api.client,
): Promise<Answer> {
  const search = new URLSearchParams(Object.entries(query).map(([name, value]): [string, string] => [name, `${value}`]))
  return api.call(`/revocations?${search}`, { headers: basicAuthorization(client) })
}

/** What a follower knows after some answers, by the rule of the documentation. */
export class Feed {
  feed = ''
  epoch = 0
  cursor: string | undefined
  /** In the order of the feed. */
  sids: string[] = []
  clients: { client_id: string; issued_until: number }[] = []
  /** How often the feed had another name than before. */
  losses = 0
  /** Everything acknowledged before this time is known. Milliseconds of the monotonic clock. */
  freshUntil = Number.NEGATIVE_INFINITY

  constructor(private readonly api: Api) {}

  /** Reads one answer, also from another instance. */
  async read(wait = 0, api = this.api): Promise<FeedAnswer> {
    const query = { ...(this.cursor !== undefined && { after: this.cursor }), wait }
    let sent = 0
    const { status, body, text } = await untilAvailable(() => {
      sent = performance.now()
      return getRevocations(api, query)
    })
    if (status !== 200) throw new Error(`/revocations answered ${status} ${text}`)
    const answer: FeedAnswer = body
    if (this.feed !== '' && answer.feed !== this.feed && this.cursor !== undefined) {
      this.losses += 1
      this.freshUntil = Number.NEGATIVE_INFINITY
      this.cursor = undefined
      this.feed = answer.feed
      return answer
    }
    this.feed = answer.feed
    this.epoch = answer.epoch
    this.cursor = answer.cursor
    for (const revocation of answer.revocations) {
      if ('sids' in revocation) this.sids.push(...revocation.sids)
      else this.clients.push(revocation)
    }
    if (!answer.more) this.freshUntil = sent + answer.read_after_ms
    return answer
  }

  /** Reads until there is no more. */
  async readAll(): Promise<this> {
    while ((await this.read()).more || this.cursor === undefined);
    return this
  }
}

/** Adds entries to the feed as if this many sessions had ended now. */
export async function seedRevocations({ DATABASE_URL, REDIS_URL }: Environment, count: number): Promise<void> {
  if (REDIS_URL !== undefined) {
    const redis = new Redis(REDIS_URL)
    for (let from = 1; from <= count; from += SEED_BATCH) {
      const to = Math.min(count, from + SEED_BATCH - 1)
      await redis.eval(SEED_LUA, 1, feedKey, from, to)
    }
    redis.disconnect()
    return
  }
  const database = await openReadyDatabase(DATABASE_URL as string)
  for (let from = 1; from <= count; from += SEED_BATCH) {
    const to = Math.min(count, from + SEED_BATCH - 1)
    await sql`
      WITH RECURSIVE each(i) AS (SELECT ${sql.lit(from)} UNION ALL SELECT i + 1 FROM each WHERE i < ${sql.lit(to)})
      INSERT INTO revocations (position, ended_at, sid)
        SELECT position + i - ${sql.lit(from - 1)}, ${database.now}, 'seeded-0123456789-' || i
        FROM each, revocation_feed`.execute(database.db)
    await sql`UPDATE revocation_feed SET position = position + ${sql.lit(to - from + 1)}`.execute(database.db)
  }
  await database.close()
}

/**
 * Moves the epoch of the feed back by an hour, as if the store had been in use. Followers introspect the tokens of the first
 * seconds of a feed, and would decide nothing from memory.
 */
export async function ageFeed({ DATABASE_URL, REDIS_URL }: Environment): Promise<void> {
  if (REDIS_URL !== undefined) {
    const redis = new Redis(REDIS_URL)
    await redis.set(epochKey, Math.floor(Date.now() / 1000) - 3600)
    redis.disconnect()
    return
  }
  const database = await openReadyDatabase(DATABASE_URL as string)
  await sql`UPDATE revocation_feed SET epoch = epoch - 3600`.execute(database.db)
  await database.close()
}

/** A statement of the service may take 550 ms, also on a busy machine. */
const SEED_BATCH = 1000
const SEED_LUA = `
  for i = tonumber(ARGV[1]), tonumber(ARGV[2]) do redis.call('XADD', KEYS[1], '*', 'sid', 'seeded-0123456789-' .. i) end`
