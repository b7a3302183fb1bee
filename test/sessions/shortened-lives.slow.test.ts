import { mock } from 'node:test'
import { clientRevocationKey, feedKey, feedRetentionKey } from '@latchkey/verifier/redis-keys'
import { type Test, test } from 'tap'
import { sql } from '../../src/database/kysely.js'
import { createSqlSessions } from '../../src/sessions/sql.js'
import { withAccounts } from '../support/accounts.js'
import { basicAuthorization } from '../support/api.js'
import { createClient } from '../support/clients.js'
import { claimsOf } from '../support/decode.js'
import { eventually } from '../support/eventually.js'
import { latchkey, operatorEnvironment } from '../support/latchkey.js'
import { type Environment, PASSWORD, startService, startServiceWith, stores, untilReady } from '../support/service.js'
import { withRedis } from '../support/store-inspection.js'

const HOUR = 3_600_000
const SHORT = { ACCESS_TTL: '2s' }

for (const store of stores) {
  for (const ending of ['revoked', 'deleted'] as const) {
    test(`${store}: O5: a client’s tokens that ended (${ending}) stay ended for their whole life, after any change of ACCESS_TTL`, async (t) => {
      const before = await startService(t, store, { ACCESS_TTL: '1h' })
      const client = await createClient(before.env, 'backend', { scopes: ['todo:read'] })
      const form = { grant_type: 'client_credentials' }
      const { access_token: token } = (await before.api.call('/token', { form, headers: basicAuthorization(client) }))
        .body
      await before.close()
      const { api } = await restart(t, { ...before.env, ...SHORT })
      t.equal(await api.isActive(token), true)

      if (ending === 'revoked') t.equal((await api.call('/revoke', { form: { token } })).status, 200)
      else
        t.equal(
          (await latchkey(['clients', 'delete', 'backend'], { ...operatorEnvironment(before.env), ...SHORT })).code,
          0,
        )

      // The stored times grow older, so the test need not wait an hour.
      await age(before.env, HOUR - 10_000)
      t.equal(await isKept(before.env, 'backend'), true, 'ten seconds before the token expires')
      if (ending === 'deleted') await createClient(before.env, 'backend', { scopes: ['todo:read'] })
      t.equal(await api.isActive(token), false)
      await age(before.env, 24 * HOUR)
      t.equal(await isKept(before.env, 'backend'), false, 'and not for ever')
      t.ok(claimsOf(token).exp - claimsOf(token).iat === 3600)
    })
  }

  test(`${store}: O5: the revocation of a client’s short-lived token also ends its older long-lived token`, async (t) => {
    const before = await startService(t, store, { ACCESS_TTL: '1h' })
    const client = await createClient(before.env, 'backend', { scopes: ['todo:read'] })
    const form = { grant_type: 'client_credentials' }
    const { access_token: long } = (await before.api.call('/token', { form, headers: basicAuthorization(client) })).body
    await before.close()
    const { api } = await restart(t, { ...before.env, ...SHORT })
    const { access_token: short } = (await api.call('/token', { form, headers: basicAuthorization(client) })).body

    t.equal((await api.call('/revoke', { form: { token: short } })).status, 200)

    await age(before.env, HOUR - 10_000)
    t.equal(await api.isActive(long), false)
  })
}

test('O5: the feed keeps entries for the longest ACCESS_TTL of the instances, also after the last of them stops', async (t) => {
  const long = await startService(t, 'redis', { ACCESS_TTL: '1h' })
  const url = long.env.REDIS_URL as string
  const short = await restart(t, { ...long.env, ...SHORT })
  await short.api.signUp('ada', PASSWORD)
  const beats = () =>
    withRedis(url, async (redis) => {
      const entries = (await redis.xrevrange(feedKey, '+', '-', 'COUNT', 20)).map(([, fields]) => fields)
      return entries.filter(([name]) => name === 'hb').map(([, kept]) => Number(kept))
    })
  const clear = () => withRedis(url, (redis) => redis.xtrim(feedKey, 'MAXLEN', 0))
  // Either instance may write the heartbeat.
  await clear()
  await eventually(async () => (await beats()).length >= 6)
  t.strictSame([...new Set(await beats())], [HOUR + 60_000])

  await long.close()
  t.equal((await latchkey(['sessions', 'list', 'ada'], operatorEnvironment(long.env))).code, 0)
  await clear()
  await eventually(async () => (await beats()).length >= 4)
  t.strictSame([...new Set(await beats())], [HOUR + 60_000], 'its tokens live on')
  const until = await withRedis(url, (redis) => redis.zscore(feedRetentionKey, HOUR + 60_000))
  t.ok(Number(until) > Date.now() + HOUR, 'for as long as they do')

  await withRedis(url, (redis) => redis.zadd(feedRetentionKey, Date.now() - 1, HOUR + 60_000))
  await eventually(async () => (await beats())[0] === 62_000)
})

test('O5: a command does not set the retention of the feed, with or without ACCESS_TTL', async (t) => {
  const { env, api } = await startService(t, 'redis', { ACCESS_TTL: '10m' })
  await api.signUp('ada', PASSWORD)
  const { sid } = await api.tokens('ada', PASSWORD)
  const longest = () =>
    withRedis(env.REDIS_URL as string, async (redis) => {
      const all = await redis.zrange(feedRetentionKey, '0', '-1')
      return Math.max(...all.map(Number))
    })
  await eventually(async () => (await longest()) === 660_000)

  for (const more of [{}, { ACCESS_TTL: '24h' }, SHORT]) {
    const { code } = await latchkey(['sessions', 'revoke', 'ada', sid], { ...operatorEnvironment(env), ...more })
    t.equal(code, 0)
    t.equal(await longest(), 660_000)
  }
})

async function restart(t: Test, env: Environment) {
  const service = await startServiceWith(t, env)
  await untilReady(service.managementUrl)
  return service
}

/** Makes the stored revocations of clients older by this many milliseconds. */
async function age(env: Environment, milliseconds: number): Promise<void> {
  if (env.REDIS_URL) {
    await withRedis(env.REDIS_URL, async (redis) => {
      const key = clientRevocationKey('backend')
      await redis.pexpireat(key, (await redis.pexpiretime(key)) - milliseconds)
    })
    return
  }
  await withAccounts(env, async (_users, database) => {
    await sql`UPDATE client_revocations SET expires_at = expires_at - ${sql.lit(milliseconds)}`.execute(database.db)
    await database.db
      .insertInto('client_revocations')
      .values({ client_id: 'long ago', not_before: 1, expires_at: 1 })
      .execute()
    mock.timers.enable({ apis: ['setInterval'] })
    const lifetimes = { refreshTtl: HOUR, sessionMaxAge: 0, refreshGrace: 0, sessionsPerUser: 1, accessTtl: 2000 }
    const sessions = createSqlSessions(database, lifetimes)
    mock.timers.tick(60_000)
    mock.timers.reset()
    // One statement deletes all of them.
    await eventually(async () => !(await isKept(env, 'long ago')))
    await sessions.close()
  })
}

async function isKept(env: Environment, client: string): Promise<boolean> {
  if (env.REDIS_URL)
    return withRedis(env.REDIS_URL, async (redis) => (await redis.exists(clientRevocationKey(client))) === 1)
  return withAccounts(env, async (_users, { db }) => {
    const rows = await db.selectFrom('client_revocations').select('client_id').where('client_id', '=', client).execute()
    return rows.length === 1
  })
}
