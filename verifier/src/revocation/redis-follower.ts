import type { Clock } from '../clock.js'
import { createFollower } from './follow.js'
import { createFreshness } from './freshness.js'
import { createLookup } from './lookup.js'
import type { RedisLocation } from './redis.js'
import { createRedisFeed } from './redis-feed.js'
import type { Revocation } from './revocation.js'
import { createRevocationList } from './revocation-list.js'

/** Follows the feed in Redis. Redis decides about tokens that memory cannot decide. */
export function createRedisFollower(redis: RedisLocation, maxStaleness: number, clock: Clock): Revocation {
  const list = createRevocationList()
  const freshness = createFreshness(maxStaleness, clock)
  const feed = createRedisFeed(redis, list, freshness, clock)
  return createFollower({ feed, list, freshness, fallback: createLookup(redis, clock) }, clock)
}
