import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { ListActivity, ListKeys, ReadNow } from '../../../schemas/admin/activity.js'
import type { Activity } from '../../activity.js'
import { type Checks, runChecks } from '../../checks.js'
import type { Config } from '../../config/config.js'
import type { SessionStore } from '../../sessions/session.js'
import type { AccessTokens } from '../../tokens/access-tokens.js'
import type { KeyRing } from '../../tokens/key-ring.js'
import { toUnixSeconds } from '../../unix-seconds.js'
import { readVersion } from '../../version.js'

export interface ActivityDependencies {
  activity: Activity
  sessions: SessionStore
  tokens: AccessTokens
  ring: KeyRing
  /** Where the keys come from. */
  config: Pick<Config, 'jwtKeysFile' | 'jwtSecretMode'>
  checks: Checks
}

/** `GET /admin/now`, `GET /admin/activity`, `GET /admin/keys`: what an operator looks at. They change nothing. */
export const activityRoutes: FastifyPluginAsyncTypebox<ActivityDependencies> = async (app, dependencies) => {
  const { activity, sessions, tokens, ring, config, checks } = dependencies
  const startedAt = Date.now()
  const knownSince = new Map<string, number>()
  noteKeys()

  app.get('/admin/now', { schema: ReadNow }, async () => {
    const [liveSessions, feedAge, results] = await Promise.all([
      sessions.count().catch(() => null),
      sessions.feedAge().catch(() => undefined),
      runChecks(checks),
    ])
    return {
      version: readVersion(),
      node: process.versions.node,
      started_at: toUnixSeconds(startedAt),
      checks: results,
      live_sessions: liveSessions,
      feed_age_ms: feedAge ?? null,
      minutes: activity.minutes().map((minute) => ({
        time: toUnixSeconds(minute.time),
        sign_ins: minute.signIns,
        refreshes: minute.refreshes,
        refusals: minute.refusals,
        revocations: minute.revocations,
      })),
    }
  })

  app.get('/admin/activity', { schema: ListActivity }, async (request) => {
    const { event: prefix = '', sub } = request.query
    const limit = Number(request.query.limit ?? 200)
    const isAbout = (event: object) => Object.values(event).includes(sub)
    const found = activity
      .events()
      .filter(({ event }) => event.event.startsWith(prefix) && (sub === undefined || isAbout(event)))
    return {
      events: found.slice(0, limit).map(({ time, event }) => ({ time: new Date(time).toISOString(), ...event })),
    }
  })

  app.get('/admin/keys', { schema: ListKeys }, async () => {
    noteKeys()
    const signing = new Set(tokens.audiences.map((audience) => ring.signingKey(audience).kid))
    return {
      source: config.jwtKeysFile === undefined ? ('JWT_SECRET' as const) : ('JWT_KEYS_FILE' as const),
      mode: config.jwtSecretMode,
      keys: ring.keys().map(({ kid, alg, verification }) => ({
        kid,
        alg,
        signs: signing.has(kid),
        is_shared: alg === 'HS256',
        audience: ('audience' in verification ? verification.audience : undefined) ?? null,
        known_since: toUnixSeconds(knownSince.get(kid) as number),
      })),
    }
  })

  /** A key has no date. Keys that the ring no longer has are forgotten, so the map stays small. */
  function noteKeys(): void {
    const kids = new Set(ring.keys().map(({ kid }) => kid))
    for (const kid of knownSince.keys()) if (!kids.has(kid)) knownSince.delete(kid)
    for (const kid of kids) if (!knownSince.has(kid)) knownSince.set(kid, Date.now())
  }
}
