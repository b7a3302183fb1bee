import type { Clock } from '../clock.js'
import { createFollower } from './follow.js'
import { createFreshness } from './freshness.js'
import { createHttpFeed, type HttpFeedOptions } from './http-feed.js'
import type { Revocation } from './revocation.js'
import { createRevocationList } from './revocation-list.js'

/** Follows the feed over HTTP. The introspection decides about tokens that memory cannot decide, and must cache nothing. */
export function createHttpFollower(options: HttpFeedOptions, introspection: Revocation, clock: Clock): Revocation {
  const list = createRevocationList()
  const freshness = createFreshness(options.maxStaleness, clock)
  const feed = createHttpFeed(options, list, freshness, clock)
  return createFollower({ feed, list, freshness, fallback: introspection }, clock)
}
