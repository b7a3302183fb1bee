import { FIRST_PARTY_CLIENT_ID } from '@latchkey/verifier/access-token'
import type { Database } from '../database/database.js'
import { type Expression, type SqlBool, sql } from '../database/kysely.js'
import type { SessionRow } from '../database/schema.js'
import type { RegistrableStore } from './registrable-store.js'
import {
  CLIENT_REVOCATION_RETENTION,
  FEED_SLACK,
  PASSWORD_ONLY,
  type Rotation,
  type Session,
  type SessionStore,
  type StoreOptions,
} from './session.js'
import { pruneSqlFeed, readSqlFeed, restartSqlFeed } from './sql-feed.js'
import { useSqlOnce } from './sql-use-once.js'

/** Milliseconds between two deletions of expired rows. Every query ignores a row from the moment it expires. */
const SWEEP_INTERVAL = 60_000
/** The count stops here, so that a scrape of the metrics has a bounded cost. */
const COUNT_LIMIT = 100_000
/** Rows that one statement deletes. A larger batch could exceed the timeout of a statement. */
const SWEEP_BATCH = 1000
/** Stands for every client in `client_revocations`. No client can have this id. */
const EVERY_CLIENT = '*'

/** Sessions in the database of the accounts, without Redis: for one instance, or for several that share one Postgres. */
export function createSqlSessions(database: Database, options: StoreOptions): SessionStore {
  const { db, now, statementTime, forUpdate, ping } = database
  const { refreshTtl, sessionMaxAge, refreshGrace, sessionsPerUser, accessTtl } = options
  const isLiving: Expression<SqlBool> = sql`expires_at > ${now}`

  const idleEnd = sql<number>`${statementTime} + ${sql.lit(refreshTtl)}`
  /** When a session that is used now expires. */
  const nextExpiry = sql<number>`CASE WHEN ends_at IS NULL OR ends_at > ${idleEnd} THEN ${idleEnd} ELSE ends_at END`

  // A failed sweep runs again after the interval. A request that needs the database reports the failure.
  const sweeper = setInterval(() => sweep().catch(() => {}), SWEEP_INTERVAL).unref()

  async function sweep(): Promise<void> {
    // In a sub-select the database reads its clock once, and Postgres can use the index.
    const hasExpired = sql<SqlBool>`expires_at <= (SELECT ${now})`
    // Without a batch: the table has at most one row for each client.
    await db.deleteFrom('client_revocations').where(hasExpired).execute()
    // Each authenticated assertion adds a row that lives for minutes.
    await db.deleteFrom('single_uses').where(hasExpired).execute()
    if (accessTtl > 0) await pruneSqlFeed(database, accessTtl + FEED_SLACK)
    for (;;) {
      const expired = await db.selectFrom('sessions').select('sid').where(hasExpired).limit(SWEEP_BATCH).execute()
      if (expired.length === 0) return
      await deleteRows(sql`sid IN (${sql.join(expired.map(({ sid }) => sid))}) AND ${hasExpired}`)
    }
  }

  /** Deletes these rows, and returns the ids of the sessions that still lived. */
  async function deleteRows(which: Expression<SqlBool>): Promise<string[]> {
    // Lock the rows in the order of their ids. Otherwise two calls that end the same sessions could deadlock.
    // Delete expired rows too: a session must not live again if the clock steps back.
    const removed = await db
      .deleteFrom('sessions')
      .where(sql<SqlBool>`sid IN (SELECT sid FROM sessions WHERE ${which} ORDER BY sid ${forUpdate})`)
      .returning(['sid', sql<number>`CASE WHEN ${isLiving} THEN 1 ELSE 0 END`.as('lived')])
      .execute()
    return removed.filter(({ lived }) => lived === 1).map(({ sid }) => sid)
  }

  return {
    async create(session) {
      const endsAt = sessionMaxAge === 0 ? sql<null>`NULL` : sql<number>`${statementTime} + ${sql.lit(sessionMaxAge)}`
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
          rotated_at: statementTime,
          device_name: session.deviceName,
          ip: session.ip,
          user_agent: session.userAgent,
          created_at: statementTime,
          last_seen_at: statementTime,
          authenticated_at: null,
          amr: session.amr.join(' '),
          expires_at: sql<number>`${statementTime} + ${sql.lit(idle)}`,
          ends_at: endsAt,
        })
        .returningAll()
        .executeTakeFirstOrThrow()
      const living = await db
        .selectFrom('sessions')
        .select('sid')
        .where('sub', '=', session.sub)
        .where(isLiving)
        // Every sign-in uses the same order and includes the new session. If concurrent sign-ins each kept their own session
        // and named the others, they would end each other.
        .orderBy('last_seen_at', 'desc')
        .orderBy('sid')
        .execute()
      return { session: toSession(row), excess: living.slice(sessionsPerUser).map(({ sid }) => sid) }
    },

    async rotate({ sub, sid, generation }, clientId): Promise<Rotation> {
      // One statement: if two requests present the same generation, the second waits for the row and then finds it rotated.
      // A generation newer than the row's is genuine, because only this service can make its MAC. The database lost it in a
      // failover, so the row takes it over.
      const rotated = await db
        .updateTable('sessions')
        .set({
          generation: generation + 1,
          rotated_at: statementTime,
          last_seen_at: statementTime,
          expires_at: nextExpiry,
        })
        .where('sid', '=', sid)
        .where('sub', '=', sub)
        .where('client_id', 'in', [clientId, FIRST_PARTY_CLIENT_ID])
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
        .where('client_id', 'in', [clientId, FIRST_PARTY_CLIENT_ID])
        .where(isLiving)
        .executeTakeFirst()
      if (!row) return { outcome: 'unknown' }
      const isPrevious = row.generation === generation + 1
      if (isPrevious && row.age < refreshGrace) return { outcome: 'replayed', session: toSession(row), age: row.age }
      return { outcome: 'reused', successor: isPrevious ? 'unused' : 'used' }
    },

    async reauthenticate(sub, sid, amr) {
      const row = await db
        .updateTable('sessions')
        .set({
          generation: sql<number>`generation + 1`,
          rotated_at: statementTime,
          last_seen_at: statementTime,
          expires_at: nextExpiry,
          authenticated_at: statementTime,
          amr: amr.join(' '),
        })
        .where('sid', '=', sid)
        .where('sub', '=', sub)
        .where(isLiving)
        .returningAll()
        .executeTakeFirst()
      return row && toSession(row)
    },

    async findUsername(sub, sid) {
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

    async revoke(sub, sids) {
      return sids.length === 0 ? [] : deleteRows(sql`sub = ${sub} AND sid IN (${sql.join(sids)})`)
    },

    // A commit is the confirmation.
    confirmRevoked: async () => {},

    async renameUser(sub, username) {
      await db.updateTable('sessions').set({ username }).where('sub', '=', sub).execute()
    },

    async revokeAll(sub, except = '') {
      return deleteRows(sql`sub = ${sub} AND sid <> ${except}`)
    },

    async revokeClient(clientId, notBefore) {
      const issuedAt = sql<number>`${sql.lit(notBefore * 1000)}`
      const from = sql<number>`CASE WHEN ${issuedAt} > ${now} THEN ${issuedAt} ELSE ${now} END`
      const row = { not_before: notBefore, expires_at: sql<number>`${from} + ${sql.lit(CLIENT_REVOCATION_RETENTION)}` }
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

    useOnce: (use) => useSqlOnce(database, use),

    async count() {
      const some = db.selectFrom('sessions').select('sid').where(isLiving).limit(COUNT_LIMIT).as('some')
      const { count } = await db
        .selectFrom(some)
        .select(({ fn }) => fn.countAll<number>().as('count'))
        .executeTakeFirstOrThrow()
      return count
    },

    readFeed: (from, limit) => readSqlFeed(database, from, limit),

    feedAge: async () => undefined,

    ping,
    async close() {
      clearInterval(sweeper)
    },
  }
}

/** The database as a session store that it registers itself. */
export function createRegistrableDatabase(database: Database, sessions: SessionStore): RegistrableStore {
  return {
    kind: 'database',
    address: '',
    connect: async () => {},
    watchConnection: () => {},
    readId: async (registered) => (registered?.kind === 'database' ? registered.id : undefined),
    async initialize() {
      await deleteSessions(database)
      // `iat` has whole seconds: a token of this second may be a new one.
      await sessions.revokeClient(EVERY_CLIENT, Math.floor(Date.now() / 1000) - 1)
    },
    writeId: async () => {},
    isInUseElsewhere: async () => false,
  }
}

/** Empties the tables when the database becomes the session store, or stops being the session store. */
export async function deleteSessions(database: Database): Promise<void> {
  const { db } = database
  for (;;) {
    const some = await db.selectFrom('sessions').select('sid').limit(SWEEP_BATCH).execute()
    if (some.length === 0) break
    const sids = some.map(({ sid }) => sid)
    await db.deleteFrom('sessions').where('sid', 'in', sids).execute()
  }
  await db.deleteFrom('client_revocations').execute()
  await restartSqlFeed(database)
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
    authenticatedAt: row.authenticated_at ?? row.created_at,
    amr: row.amr === null ? PASSWORD_ONLY : row.amr.split(' '),
    lastSeenAt: row.last_seen_at,
    expiresAt: row.expires_at,
  }
}
