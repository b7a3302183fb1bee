import { feedKey, feedRetentionKey } from '@latchkey/verifier/redis-keys'
import { test } from 'tap'
import { sql } from '../../src/database/kysely.js'
import { pruneSqlFeed } from '../../src/sessions/sql-feed.js'
import { withAccounts } from '../support/accounts.js'
import { eventually } from '../support/eventually.js'
import { Feed, getRevocations, seedRevocations } from '../support/feed.js'
import { PASSWORD, startService, stores } from '../support/service.js'
import { withRedis } from '../support/store-inspection.js'
import { openTestDatabase } from '../support/stores.js'

for (const store of stores) {
  test(`${store}: S7 a follower reads a long feed in pages of at most 1,000, in order and without a gap`, async (t) => {
    const { api, env } = await startService(t, store)
    await api.signUp('ada', PASSWORD)
    await seedRevocations(env, 3500)
    const { access_token: token, sid } = await api.tokens('ada', PASSWORD)
    await api.logout(token)
    const feed = new Feed(api)
    const sizes: number[] = []
    for (let more = true; more; ) {
      const answer = await feed.read()
      sizes.push(answer.revocations.length)
      more = answer.more
    }
    t.ok(sizes.length >= 4 && Math.max(...sizes) <= 1000, `pages of ${sizes}`)
    const seeded = Array.from({ length: 3500 }, (_, i) => `seeded-0123456789-${i + 1}`)
    t.strictSame(feed.sids, [...seeded, sid])
    t.equal(feed.losses, 0)
  })

  test(`${store}: followers who are behind, level and new are answered from one feed`, async (t) => {
    const { api, env } = await startService(t, store)
    await api.signUp('ada', PASSWORD)
    const level = await new Feed(api).readAll()
    const behind = await new Feed(api).readAll()
    const held = level.read(1000)
    await seedRevocations(env, 1500)
    await held
    await level.readAll()
    const fresh = await new Feed(api).readAll()
    await behind.readAll()
    t.equal(level.sids.length, 1500)
    t.strictSame(behind.sids, level.sids)
    t.strictSame(fresh.sids, level.sids)
    for (const feed of [level, behind, fresh]) t.equal(feed.losses, 0)
  })
}

for (const store of ['sqlite', 'postgres'] as const) {
  test(`${store}: entries go when no token needs them, but never the newest`, async (t) => {
    const { database, url } = await openTestDatabase(t, store)
    const { db } = database
    await seedRevocations({ DATABASE_URL: url }, 2500)
    const positions = async () =>
      (await db.selectFrom('revocations').select('position').orderBy('position').execute()).map((row) => row.position)
    const age = (milliseconds: number, first: number, last: number) =>
      sql`UPDATE revocations SET ended_at = ended_at - ${milliseconds} WHERE position BETWEEN ${first} AND ${last}`.execute(
        db,
      )

    // The first entry is from the migration, which a database for tests may have long behind it.
    await sql`UPDATE revocations SET ended_at = (SELECT max(ended_at) FROM revocations) WHERE position = 0`.execute(db)
    await pruneSqlFeed(database, 61_000)
    t.equal((await positions()).length, 2501, 'nothing is old yet')
    await age(62_000, 0, 2400)
    await pruneSqlFeed(database, 61_000)
    t.strictSame([(await positions())[0], (await positions()).length], [2401, 100])

    await pruneSqlFeed(database, 3_660_000)
    await age(62_000, 2401, 2500)
    await pruneSqlFeed(database, 61_000)
    t.equal((await positions()).length, 100, 'another instance issues tokens that live for an hour')
    await sql`UPDATE revocation_retention SET needed_until = 1 WHERE kept = 3660000`.execute(db)
    await pruneSqlFeed(database, 61_000)
    t.strictSame(await positions(), [2500], 'followers go on from the newest')
  })
}

test('S4 a cursor that is older than what is kept begins again', async (t) => {
  const { api, env } = await startService(t, 'sqlite')
  const feed = await new Feed(api).readAll()
  await seedRevocations(env, 10)
  const old = await new Feed(api).readAll()
  t.equal(old.feed, feed.feed)
  await withAccounts(env, (_users, { db }) => sql`DELETE FROM revocations WHERE position <= 4`.execute(db))

  const answer = await feed.read()

  t.not(answer.feed, old.feed)
  t.equal(feed.losses, 1)
  t.equal(feed.freshUntil, Number.NEGATIVE_INFINITY)
  await feed.readAll()
  t.equal(feed.sids.length, 7, 'the first entry of a feed revokes nothing')
})

test('redis: S4 when the feed alone is lost, tokens from before are not vouched for', async (t) => {
  const { api, env } = await startService(t, 'redis')
  await api.signUp('ada', PASSWORD)
  const feed = await new Feed(api).readAll()
  const { epoch } = feed
  await eventually(() => Date.now() / 1000 > epoch + 4)
  await withRedis(env.REDIS_URL as string, (redis) => redis.del(feedKey))

  await feed.readAll()

  t.equal(feed.losses, 1)
  t.ok(feed.epoch > epoch + 3, 'the epoch is the time at which the feed begins')
})

test('redis: a member of the retention set that is not a time stops no revocation', async (t) => {
  const { api, env } = await startService(t, 'redis')
  await api.signUp('ada', PASSWORD)
  await withRedis(env.REDIS_URL as string, async (redis) => {
    for (const junk of ['junk', '', 'inf', '-1', '1e300', '0x10', '99999999999999999999']) {
      await redis.zadd(feedRetentionKey, Date.now() + 3_600_000, junk)
    }
  })
  const feed = await new Feed(api).readAll()
  const { access_token: token, sid } = await api.tokens('ada', PASSWORD)
  t.equal((await api.logout(token)).status, 204)
  t.strictSame((await feed.readAll()).sids, [sid])
  t.equal((await getRevocations(api, { wait: 300 })).status, 200)
})
