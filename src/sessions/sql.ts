import type { Expression, SqlBool } from 'kysely'
import type { Database } from '../database/database.js'
import { sql } from '../database/kysely.js'
import type { SessionRow } from '../database/schema.js'
import type { RegistrableStore } from './registration.js'
import {
  FIRST_PARTY,
  LONGEST_LIFE,
  type Rotation,
  type Session,
  type SessionStore,
  type StoreOptions,
} from './session.js'

/** How often rows of ended sessions are deleted, in milliseconds. They count for nothing from the moment they expire. */
const SWEEP_INTERVAL = 60_000
/** As far as sessions are counted: a scrape must not cost more the more there are. */
const COUNT_LIMIT = 100_000
/** Rows deleted at once: few enough to be done within the time that a statement has. */
const SWEEP_BATCH = 1000
/** In the place of a client's id, which it cannot be: a revocation of every client's tokens. */
const EVERY_CLIENT = '*'

/** Sessions in the database of accounts: for one instance without Redis, or for several on one Postgres. */
export function createSqlSessions({ db, now, forUpdate, ping }: Database, options: StoreOptions): SessionStore {
  const { refreshTtl, sessionMaxAge, refreshGrace, sessionsPerUser } = options
  const isLiving: Expression<SqlBool> = sql`expires_at > ${now}`

  // Failing now, it runs again in a minute; who needs the database hears of it from the request.
  const sweeper = setInterval(() => sweep().catch(() => {}), SWEEP_INTERVAL).unref()

  async function sweep(): Promise<void> {
    // Asked in a sub-select the clock is read once, and Postgres can use the index.
    const hasExpired = sql<SqlBool>`expires_at <= (SELECT ${now})`
    // A row a client at the most.
    await db.deleteFrom('client_revocations').where(hasExpired).execute()
    for (;;) {
      const expired = await db.selectFrom('sessions').select('sid').where(hasExpired).limit(SWEEP_BATCH).execute()
      if (expired.length === 0) return
      await remove(sql`sid IN (${sql.join(expired.map(({ sid }) => sid))}) AND ${hasExpired}`)
    }
  }

  /** Deletes these rows and answers with the ids of those that lived until now. */
  async function remove(which: Expression<SqlBool>): Promise<string[]> {
    // Locked in the order of their ids: two that end the same sessions at once would else each hold a row that the other
    // waits for. A row that has expired goes too: its session shall not revive when the clock steps back.
    const removed = await db
      .deleteFrom('sessions')
      .where(sql<SqlBool>`sid IN (SELECT sid FROM sessions WHERE ${which} ORDER BY sid ${forUpdate})`)
      .returning(['sid', sql<number>`CASE WHEN ${isLiving} THEN 1 ELSE 0 END`.as('lived')])
      .execute()
    return removed.filter(({ lived }) => lived === 1).map(({ sid }) => sid)
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
        // The same order for everyone, the new one in it: if sign-ins at once each spared their own, and named the
        // others', they would end one another.
        .orderBy('last_seen_at', 'desc')
        .orderBy('sid')
        .execute()
      return { session: toSession(row), excess: living.slice(sessionsPerUser).map(({ sid }) => sid) }
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
      const isPrevious = row.generation === generation + 1
      if (isPrevious && row.age < refreshGrace) return { outcome: 'replayed', session: toSession(row), age: row.age }
      return { outcome: 'reused', successor: isPrevious ? 'unused' : 'used' }
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
      return sids.length === 0 ? [] : remove(sql`sub = ${sub} AND sid IN (${sql.join(sids)})`)
    },

    async endAll(sub, except = '') {
      return remove(sql`sub = ${sub} AND sid <> ${except}`)
    },

    async revokeClient(clientId, notBefore) {
      const issuedAt = sql<number>`${sql.lit(notBefore * 1000)}`
      const from = sql<number>`CASE WHEN ${issuedAt} > ${now} THEN ${issuedAt} ELSE ${now} END`
      const row = { not_before: notBefore, expires_at: sql<number>`${from} + ${sql.lit(LONGEST_LIFE)}` }
      const { numInsertedOrUpdatedRows } = await db
        .insertInto('client_revocations')
        .values({ client_id: clientId, ...row })
        .onConflict((conflict) =>
          conflict.column('client_id').doUpdateSet(row).where('client_revocations.not_before', '<', notBefore),
        )
        .executeTakeFirstOrThrow()
      return (numInsertedOrUpdatedRows ?? 0n) > 0n
    },

    async clientNotBefore(clientId) {
      const rows = await db
        .selectFrom('client_revocations')
        .select('not_before')
        .where('client_id', 'in', [clientId, EVERY_CLIENT])
        .execute()
      return Math.max(0, ...rows.map((row) => row.not_before))
    },

    async count() {
      const some = db.selectFrom('sessions').select('sid').where(isLiving).limit(COUNT_LIMIT).as('some')
      const { count } = await db
        .selectFrom(some)
        .select(({ fn }) => fn.countAll<number>().as('count'))
        .executeTakeFirstOrThrow()
      return count
    },

    feedAge: async () => undefined,

    ping,
    async close() {
      clearInterval(sweeper)
    },
  }
}

/** The database as the store that it registers. */
export function createRegistrableDatabase({ db }: Database, sessions: SessionStore): RegistrableStore {
  return {
    kind: 'database',
    address: '',
    connect: async () => {},
    watchConnection: () => {},
    readId: async (registered) => (registered?.kind === 'database' ? registered.id : undefined),
    async initialize() {
      await deleteSessions({ db })
      // A token of this second may be a new one.
      await sessions.revokeClient(EVERY_CLIENT, Math.floor(Date.now() / 1000) - 1)
    },
    writeId: async () => {},
    isInUseElsewhere: async () => false,
  }
}

/** Empties the tables of a store that is left behind, or comes into use again. */
export async function deleteSessions({ db }: Pick<Database, 'db'>): Promise<void> {
  for (;;) {
    const some = await db.selectFrom('sessions').select('sid').limit(SWEEP_BATCH).execute()
    if (some.length === 0) break
    const sids = some.map(({ sid }) => sid)
    await db.deleteFrom('sessions').where('sid', 'in', sids).execute()
  }
  await db.deleteFrom('client_revocations').execute()
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
