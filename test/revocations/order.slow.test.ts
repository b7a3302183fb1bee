import pg from 'pg'
import { type Test, test } from 'tap'
import { sql } from '../../src/database/kysely.js'
import { createSqlSessions } from '../../src/sessions/sql.js'
import { eventually } from '../support/eventually.js'
import { Feed } from '../support/feed.js'
import { startReplicas } from '../support/replicas.js'
import { PASSWORD } from '../support/service.js'
import { isAll } from '../support/size.js'
import { newSession, newUserId, openStore, openTestDatabase } from '../support/stores.js'

/** How many sessions several writers end at once. */
const SESSIONS = isAll ? 2000 : 400
const WRITERS = 8

for (const store of ['postgres', 'sqlite'] as const) {
  test(`${store}: S2 ${WRITERS} writers end ${SESSIONS} sessions, and no reader gets an earlier entry after a later one`, async (t) => {
    const { sessions, replica } = await openStore(t, store)
    const stores = [sessions, await replica(), await replica()]
    const people = Array.from({ length: WRITERS }, () => newUserId())
    const all: [sub: string, sid: string][] = []
    for (let i = 0; i < SESSIONS; i += 1) {
      const { session } = await sessions.create(newSession(people[i % WRITERS] as string))
      all.push([session.sub, session.sid])
    }
    let areWriting = true
    const readers = stores.map(async (reader) => {
      const positions: number[] = []
      const sids: string[] = []
      let id = (await reader.readFeed('oldest', 1)).entries[0]?.id as string
      for (let isLast = false; !isLast; ) {
        isLast = !areWriting
        const { entries } = await reader.readFeed({ id }, 50)
        if (entries[0]?.id !== id) t.fail('the entry that the reader had is gone')
        for (const entry of entries.slice(1)) {
          positions.push(Number(entry.id.split('-')[1]))
          if (entry.revocation && 'sids' in entry.revocation) sids.push(...entry.revocation.sids)
          id = entry.id
        }
        if (entries.length === 50) isLast = false
      }
      return { positions, sids }
    })

    await Promise.all(
      people.map(async (person, i) => {
        const own = all.filter(([sub]) => sub === person).map(([, sid]) => sid)
        const writer = stores[i % stores.length] ?? sessions
        // Some calls end one session, some end several.
        for (let at = 0, size = 1; at < own.length; at += size, size = (size % 5) + 1) {
          await writer.revoke(person, own.slice(at, at + size))
        }
      }),
    )
    areWriting = false

    for (const { positions, sids } of await Promise.all(readers)) {
      t.strictSame(
        positions,
        Array.from({ length: SESSIONS }, (_, i) => i + 1),
        'no entry is late, and none is missing',
      )
      t.equal(new Set(sids).size, SESSIONS)
    }
  })
}

test('postgres: S2 a writer that is slow to commit holds back every later entry', async (t) => {
  // On a busy machine the writer that waits may wait for longer than the service would.
  const { url, database } = await openTestDatabase(t, 'postgres', {
    statement_timeout: '60000',
    query_timeout: '60000',
  })
  const sessions = createSqlSessions(database, {
    refreshTtl: 3_600_000,
    sessionMaxAge: 0,
    refreshGrace: 30_000,
    sessionsPerUser: 100,
    accessTtl: 900_000,
  })
  t.teardown(() => sessions.close())
  const [slow, fast] = [newSession(newUserId()), newSession(newUserId())]
  for (const each of [slow, fast]) await sessions.create(each)
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  t.teardown(() => client.end())
  const entries = async () => (await sessions.readFeed('oldest', 10)).entries.flatMap((entry) => entry.revocation ?? [])

  await client.query('BEGIN')
  await client.query('DELETE FROM sessions WHERE sid = $1', [slow.sid])
  const ended = sessions.revoke(fast.sub, [fast.sid])
  await eventually(async () => {
    const waiting = await sql<{ n: number }>`SELECT count(*) AS n FROM pg_locks WHERE NOT granted`.execute(database.db)
    return Number(waiting.rows[0]?.n) > 0
  })
  t.strictSame(await entries(), [], 'neither is visible')
  await client.query('COMMIT')

  t.strictSame(await ended, [fast.sid])
  t.strictSame(await entries(), [{ sids: [slow.sid] }, { sids: [fast.sid] }])
})

// Redis itself orders its feed, so in `npm test` Postgres is enough.
for (const store of isAll ? (['postgres', 'redis'] as const) : (['postgres'] as const)) {
  test(`${store}: S2 followers of three instances get one feed, and a cursor of one instance counts at the others`, async (t) => {
    const { apis, next } = await startReplicas(t, store)
    await next().signUp('ada', PASSWORD)
    const feeds = await Promise.all(apis.map((api) => new Feed(api).readAll()))
    const wandering = new Feed(apis[0])
    let isOver = false
    const reading = Promise.all([
      ...feeds.map(async (feed) => {
        while (!isOver) await feed.read(250)
      }),
      (async () => {
        for (let i = 0; !isOver; i += 1) await readAt(wandering, i)
      })(),
    ])
    const ended = await signOutOften(t)
    isOver = true
    await reading
    for (const feed of [...feeds, wandering]) {
      await feed.readAll()
      t.strictSame(feed.sids, feeds[0]?.sids, 'one order')
      t.equal(feed.feed, feeds[0]?.feed, 'one name')
      t.equal(feed.losses, 0)
    }
    t.strictSame([...(feeds[0]?.sids ?? [])].sort(), ended.sort())

    async function readAt(feed: Feed, i: number): Promise<void> {
      await feed.read(i % 2 === 0 ? 0 : 30, apis[i % apis.length])
    }

    async function signOutOften(test: Test): Promise<string[]> {
      const lanes = await Promise.all(
        [1, 2, 3, 4].map(async () => {
          const sids: string[] = []
          for (let i = 0; i < 10; i += 1) {
            const { access_token: token, sid } = await next().tokens('ada', PASSWORD)
            test.equal((await next().logout(token)).status, 204)
            sids.push(sid)
          }
          return sids
        }),
      )
      return lanes.flat()
    }
  })
}
