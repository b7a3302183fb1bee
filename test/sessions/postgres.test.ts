import { test } from 'tap'
import { sql } from '../../src/database/kysely.js'
import { createSqlSessions } from '../../src/sessions/sql.js'
import { sessionRaces } from '../support/races.js'
import { sessionContract } from '../support/session-store-contract.js'
import { LIFETIMES, newSession, newUserId, openTestDatabase, presentGeneration } from '../support/stores.js'

sessionContract('postgres')
sessionRaces('postgres')

test('R9: the times of a session agree when Postgres reads its clock slowly', async (t) => {
  const { database, openAgain } = await openTestDatabase(t, 'postgres', {
    options: '-c search_path=slow,public,pg_catalog',
  })
  await sql`CREATE SCHEMA slow`.execute(database.db)
  await sql`
    CREATE FUNCTION slow.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
    AS 'SELECT pg_catalog.clock_timestamp() FROM pg_sleep(0.01)'
  `.execute(database.db)
  const sessions = createSqlSessions(await openAgain(), { ...LIFETIMES, sessionMaxAge: LIFETIMES.refreshTtl })
  t.teardown(() => sessions.close())

  const { session } = await sessions.create(newSession(newUserId()))
  const rotation = await presentGeneration(sessions, session.sub, session.sid, 0)

  const { createdAt } = session
  t.match(session, { lastSeenAt: createdAt, authenticatedAt: createdAt, expiresAt: createdAt + LIFETIMES.refreshTtl })
  t.match(rotation, { outcome: 'rotated', session: { expiresAt: session.expiresAt } })
})
