import { setTimeout as sleep } from 'node:timers/promises'
import type { Clock } from '../clock.js'
import type { AccessTokenClaims } from '../token/claims.js'
import type { Feed } from './feed.js'
import type { Freshness } from './freshness.js'
import type { Revocation } from './revocation.js'
import type { RevocationList } from './revocation-list.js'

/** Milliseconds. `ready` fails after this time, unless a backlog is being read. */
const READY_TIMEOUT = 5000

interface FollowerParts {
  /** Fills `list` and proves `freshness`. */
  feed: Feed
  list: RevocationList
  freshness: Freshness
  /** Decides about tokens that memory cannot decide. */
  fallback: Revocation
}

/**
 * Follows the feed of revocations and answers from memory. The fallback decides about a token that memory cannot decide.
 *
 * A token is accepted from memory only if all of this holds:
 * - The feed is known without a gap since before the token was issued, and the store was not emptied in that time.
 * - Every revocation until `maxStaleness` ago is known.
 * - No known entry names the session of the token.
 */
export function createFollower({ feed, list, freshness, fallback }: FollowerParts, clock: Clock): Revocation {
  let isClosed = false

  async function lookUp(claims: AccessTokenClaims, token: string): Promise<boolean> {
    // A known revocation counts, whatever the fallback answers.
    return (await fallback.isLive(claims, token)) && !list.isRevoked(claims)
  }

  return {
    async ready() {
      const began = clock.now()
      while (!freshness.isFresh()) {
        if (isClosed) throw new Error('the verifier is closed')
        if (Math.min(...[began, feed.backlogAt ?? began].map(clock.elapsedSince)) > READY_TIMEOUT)
          throw new Error(feed.whyNotFresh())
        await sleep(10)
      }
    },

    isLive(claims, token) {
      if (list.isRevoked(claims)) return false
      if (freshness.isFresh() && list.covers(claims)) return true
      return lookUp(claims, token)
    },

    get malformedEntries() {
      return feed.malformedEntries
    },

    async close() {
      isClosed = true
      await Promise.all([feed.close(), fallback.close()])
      // Reset after the feed has stopped: an answer in flight could prove freshness once more.
      freshness.reset()
    },
  }
}
