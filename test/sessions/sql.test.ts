import { mock } from 'node:test'
import pg from 'pg'
import { type Test, test } from 'tap'
import type { Database } from '../../src/database/database.js'
import { sql } from '../../src/database/kysely.js'
import { createSqlSessions } from '../../src/sessions/sql.js'
import { eventually } from '../support/eventually.js'
import { LIFETIMES, newSession, newUserId, openTestDatabase, presentGeneration } from '../support/stores.js'

type Four = [string, string, string, string]

for (const store of ['sqlite', 'postgres'] as const) {
  test(`${store}: rows of expired sessions are swept in any number, and no live session is`, async (t) => {
    const { database } = await openTestDatabase(t, store)
    mock.timers.enable({ apis: ['setInterval'] })
    t.teardown(() => mock.timers.reset())
    const sessions = createSqlSessions(database, LIFETIMES)
    t.teardown(() => sessions.close())
    const { session: expired } = await sessions.create(newSession(newUserId()))
    await multiply(database, expired.sid, 2500)
    const { session: living } = await sessions.create(newSession(newUserId()))

    mock.timers.tick(60_000)

    await eventually(async () => (await count(database)) === 1)
    t.equal(await sessions.findUsername(living.sub, living.sid), 'ada')
  })
}

test('postgres: the sweep finds expired rows by the index', async (t) => {
  const { database } = await openTestDatabase(t, 'postgres')
  await sql`SET enable_seqscan = off`.execute(database.db)

  const { rows } = await sql<Record<string, string>>`
    EXPLAIN SELECT sid FROM sessions WHERE expires_at <= (SELECT ${database.now}) LIMIT 1000`.execute(database.db)

  t.match(rows.map((row) => row['QUERY PLAN']).join('\n'), /Index Cond: \(expires_at <=/)
})

// Postgres visits rows in their physical order, and a rotation moves a row to the end. Transaction A began before a
// rotation, and B after it. So they visit the two rows in opposite order. Held row locks line the two up.
test('postgres: F18: two transactions that end the same sessions never deadlock', async (t) => {
  const { url, database, openAgain } = await openTestDatabase(t, 'postgres', {
    statement_timeout: '60000',
    query_timeout: '60000',
  })
  // The connections are open before a row is held: a new connection has 400 ms, which a busy machine may exceed.
  await Promise.all(Array.from({ length: 3 }, () => sql`SELECT pg_sleep(0.1)`.execute(database.db)))
  const sessions = createSqlSessions(database, LIFETIMES)
  const other = createSqlSessions(await openAgain(), LIFETIMES)
  t.teardown(() => Promise.all([sessions.close(), other.close()]))
  const sub = newUserId()
  // The gates are first by id, and enclose the two rows physically.
  const [firstGate, moved, stays, secondGate] = ['0', '2', '3', '1'].map((id) => id.repeat(22)) as Four
  for (const sid of [firstGate, moved, stays, secondGate]) await sessions.create(newSession(sub, { sid }))
  const [releaseFirst, releaseSecond] = [await hold(t, url, firstGate), await hold(t, url, secondGate)]

  const endingA = sessions.revokeAll(sub)
  await untilBlocked(database, 1)
  await presentGeneration(sessions, sub, moved, 0)
  const endingB = other.revokeAll(sub, firstGate)
  await untilBlocked(database, 2)
  await releaseFirst()
  await untilLocked(database, firstGate)
  await untilBlocked(database, 2)
  await releaseSecond()

  const ended = [...(await endingA), ...(await endingB)]
  t.strictSame(ended.sort(), [firstGate, secondGate, moved, stays], 'each is ended, by one of them')
})

/** Inserts copies of a session that expired long ago. */
async function multiply({ db }: Database, sid: string, copies: number): Promise<void> {
  await sql`
    INSERT INTO sessions
    WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${sql.lit(copies)})
    SELECT sid || i, sub, username, client_id, scope, audience, roles, generation, rotated_at, device_name, ip,
      user_agent, created_at, last_seen_at, expires_at, ends_at, authenticated_at, amr FROM sessions, n WHERE sid = ${sid}`.execute(
    db,
  )
  await sql`UPDATE sessions SET expires_at = 1`.execute(db)
}

async function count({ db }: Database): Promise<number> {
  const { rows } = await sql<{ n: number }>`SELECT count(*) AS n FROM sessions`.execute(db)
  return Number(rows[0]?.n)
}

/** Locks the row of a session. Returns the function that unlocks it. */
async function hold(t: Test, url: string, sid: string): Promise<() => Promise<unknown>> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  t.teardown(() => client.end())
  await client.query('BEGIN')
  await client.query('SELECT 1 FROM sessions WHERE sid = $1 FOR UPDATE', [sid])
  return () => client.query('COMMIT')
}

function untilLocked({ db }: Database, sid: string): Promise<number> {
  return eventually(async () => {
    const { rows } = await sql`SELECT 1 FROM sessions WHERE sid = ${sid} FOR UPDATE SKIP LOCKED`.execute(db)
    return rows.length === 0
  })
}

function untilBlocked({ db }: Database, expected: number): Promise<number> {
  return eventually(async () => {
    const { rows } = await sql<{ n: number }>`
      SELECT count(*) AS n FROM pg_stat_activity
      WHERE datname = current_database() AND wait_event_type = 'Lock'`.execute(db)
    return Number(rows[0]?.n) === expected
  })
}
