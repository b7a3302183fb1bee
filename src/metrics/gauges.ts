import { type Checks, runChecks } from '../checks.js'
import type { SessionStore } from '../sessions/session.js'
import type { PasswordHashing } from '../users/password-hashing.js'
import { readVersion } from '../version.js'
import { gauge, type Metric } from './series.js'

export interface GaugeSources {
  sessions: SessionStore
  hashing: PasswordHashing
  hashQueue: number
  checks: Checks
}

/** The gauges, which are read at each scrape. */
export function createGauges({ sessions, hashing, hashQueue, checks }: GaugeSources): Metric[] {
  return [
    gauge('latchkey_build_info', 'Version of the service and of Node: always 1.', () => [
      [{ version: readVersion(), node: process.versions.node }, 1],
    ]),
    gauge('latchkey_hash_active', 'Passwords being hashed now.', () => [[{}, hashing.load().active]]),
    gauge('latchkey_hash_waiting', 'Passwords waiting in the hashing queue.', () => [[{}, hashing.load().waiting]]),
    gauge('latchkey_hash_queue_limit', 'HASH_QUEUE: how many passwords may wait.', () => [[{}, hashQueue]]),
    gauge('latchkey_dependency_up', '1 if the dependency answers, otherwise 0.', async () =>
      Object.entries(await runChecks(checks)).map(([dependency, result]) => [{ dependency }, result === 'ok' ? 1 : 0]),
    ),
    gauge(
      'latchkey_sessions_live',
      'Approximate number of live sessions in the whole store: each replica reports the same.',
      async () => [[{}, await sessions.count()]],
    ),
    gauge(
      'latchkey_feed_age_seconds',
      'Age of the last entry of the revocation feed: after 1 s, its followers look up each token.',
      async () => {
        const age = await sessions.feedAge()
        return age === undefined ? [] : [[{}, age / 1000]]
      },
    ),
  ]
}
