import { type Expression, type SqlBool, sql } from 'kysely'
import type { Database } from '../database/database.js'
import type { SessionRow } from '../database/schema.js'
import { FIRST_PARTY, type Rotation, type Session, type SessionStore, type StoreOptions } from './session.js'

/** How often rows of ended sessions are deleted, in milliseconds. They count for nothing from the moment they expire. */
const SWEEP_INTERVAL = 60_000

/** Sessions in the database of accounts: for one instance without Redis, or for several on one Postgres. */
export function createSqlSessions({ db, now, ping }: Database, options: StoreOptions): SessionStore {
  const { refreshTtl, sessionMaxAge, refreshGrace, sessionsPerUser, accessTtl } = options
  const isLiving: Expression<SqlBool> = sql`expires_at > ${now}`

  const sweeper = setInterval(() => {
    // Failing now, it runs again in a minute; who needs the database hears of it from the request.
    for (const table of ['sessions', 'client_revocations'] as const) {
      db.deleteFrom(table)
        .where(sql<SqlBool>`expires_at <= ${now}`)
        .execute()
        .catch(() => {})
    }
  }, SWEEP_INTERVAL).unref()

  async function end(sub: string, which: Expression<SqlBool>): Promise<string[]> {
    const ended = await db
      .deleteFrom('sessions')
      .where('sub', '=', sub)
      .where(which)
      .where(isLiving)
      .returning('sid')
      .execute()
    return ended.map(({ sid }) => sid)
  }

  return {
    async create(session) {
      const endsAt = sessionMaxAge === 0 ? sql<null>`NULL` : sql<number>`${now} + ${sql.lit(sessionMaxAge)}`
      const idle = sessionMaxAge === 0 ? refreshTtl : Math.min(refreshTtl, sessionMaxAge)
      const row = await db
        .insertInto('sessions')
        .values({
          sid: session.sid,
          sub: session.sub,
          username: session.username,
          client_id: session.clientId,
          scope: session.scope,
          audience: session.audience,
          roles: JSON.stringify(session.roles),
          generation: 0,
          rotated_at: now,
          device_name: session.deviceName,
          ip: session.ip,
          user_agent: session.userAgent,
          created_at: now,
          last_seen_at: now,
          expires_at: sql<number>`${now} + ${sql.lit(idle)}`,
          ends_at: endsAt,
        })
        .returningAll()
        .executeTakeFirstOrThrow()
      const living = await db
        .selectFrom('sessions')
        .select('sid')
        .where('sub', '=', session.sub)
        .where(isLiving)
        .where('sid', '<>', session.sid)
        .orderBy('last_seen_at', 'desc')
        .execute()
      return { session: toSession(row), excess: living.slice(sessionsPerUser - 1).map(({ sid }) => sid) }
    },

    async rotate({ sub, sid, generation }, clientId): Promise<Rotation> {
      // One statement: of two that present the same generation, the second waits for the row and then finds it moved.
      // A generation newer than the row's is one that the database lost in a failover (only we can make its MAC): the
      // session is moved on to it.
      const next = sql<number>`${now} + ${sql.lit(refreshTtl)}`
      const rotated = await db
        .updateTable('sessions')
        .set({
          generation: generation + 1,
          rotated_at: now,
          last_seen_at: now,
          expires_at: sql<number>`CASE WHEN ends_at IS NULL OR ends_at > ${next} THEN ${next} ELSE ends_at END`,
        })
        .where('sid', '=', sid)
        .where('sub', '=', sub)
        .where('client_id', 'in', [clientId, FIRST_PARTY])
        .where('generation', '<=', generation)
        .where(isLiving)
        .returningAll()
        .executeTakeFirst()
      if (rotated) return { outcome: 'rotated', session: toSession(rotated) }

      const row = await db
        .selectFrom('sessions')
        .selectAll()
        .select(sql<number>`${now} - rotated_at`.as('age'))
        .where('sid', '=', sid)
        .where('sub', '=', sub)
        .where('client_id', 'in', [clientId, FIRST_PARTY])
        .where(isLiving)
        .executeTakeFirst()
      if (!row) return { outcome: 'unknown' }
      const isRetry = row.generation === generation + 1 && row.age <= refreshGrace
      return isRetry ? { outcome: 'replayed', session: toSession(row) } : { outcome: 'reused' }
    },

    async holder(sub, sid) {
      const row = await db
        .selectFrom('sessions')
        .select('username')
        .where('sid', '=', sid)
        .where('sub', '=', sub)
        .where(isLiving)
        .executeTakeFirst()
      return row?.username
    },

    async list(sub) {
      const rows = await db
        .selectFrom('sessions')
        .selectAll()
        .where('sub', '=', sub)
        .where(isLiving)
        .orderBy('last_seen_at', 'desc')
        .execute()
      return rows.map(toSession)
    },

    async end(sub, sids) {
      return sids.length === 0 ? [] : end(sub, sql<SqlBool>`sid IN (${sql.join(sids)})`)
    },

    async endAll(sub, except = '') {
      return end(sub, sql<SqlBool>`sid <> ${except}`)
    },

    async revokeClient(clientId, notBefore) {
      const row = { not_before: notBefore, expires_at: sql<number>`${now} + ${sql.lit(accessTtl)}` }
      await db
        .insertInto('client_revocations')
        .values({ client_id: clientId, ...row })
        .onConflict((conflict) =>
          conflict.column('client_id').doUpdateSet(row).where('client_revocations.not_before', '<', notBefore),
        )
        .execute()
    },

    async clientNotBefore(clientId) {
      const row = await db
        .selectFrom('client_revocations')
        .select('not_before')
        .where('client_id', '=', clientId)
        .executeTakeFirst()
      return row?.not_before ?? 0
    },

    ping,
    async close() {
      clearInterval(sweeper)
    },
  }
}

function toSession(row: SessionRow): Session {
  return {
    sid: row.sid,
    sub: row.sub,
    username: row.username,
    clientId: row.client_id,
    scope: row.scope,
    audience: row.audience,
    roles: JSON.parse(row.roles),
    generation: row.generation,
    deviceName: row.device_name,
    ip: row.ip,
    userAgent: row.user_agent,
    createdAt: row.created_at,
    lastSeenAt: row.last_seen_at,
    expiresAt: row.expires_at,
  }
}
