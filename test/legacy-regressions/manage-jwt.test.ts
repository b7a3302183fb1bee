import { test } from 'tap'
import { withAccounts } from '../support/accounts.js'
import { eventually } from '../support/eventually.js'
import { anyStore, environment, PASSWORD, startService, startServiceWith, stores } from '../support/service.js'
import { countSessionRows, redisKeys, withRedis } from '../support/store-inspection.js'

// This service replaces two older systems. manage-jwt is the second. Each test with this name is one of its
// defects, which must not come back.

for (const store of stores) {
  test(`${store}: manage-jwt: nobody signs in without the password`, async (t) => {
    const { api } = await startService(t, store)
    await api.signUp('ada', PASSWORD)
    const attempts: [unknown, number][] = [
      [{ username: 'ada' }, 400],
      [{ username: 'ada', password: '' }, 400],
      [{ username: 'ada', password: null }, 400],
      [{ username: 'ada', user_id: 1 }, 400],
      [{ username: 'ada', password: ' ' }, 401],
      [{ username: 'ada', password: 'ada' }, 401],
      [{ username: 'ada', password: PASSWORD.toUpperCase() }, 401],
    ]
    for (const [json, expected] of attempts) {
      const { status, text } = await api.call('/login', { json })
      t.equal(status, expected, JSON.stringify(json))
      t.notMatch(text, /access_token/)
    }
    t.match(await api.call('/users', { json: { username: 'eve' } }), { status: 400 }, 'nor signs up without one')
  })

  test(`${store}: manage-jwt: no statement, and no row with its ids, is logged`, async (t) => {
    const { api, log } = await startService(t, store, { LOG_LEVEL: 'trace' })
    await api.signUp('ada', PASSWORD)
    const { access_token, refresh_token } = await api.tokens('ada', PASSWORD)
    await api.refresh(refresh_token)
    await api.call('/sessions', { bearer: access_token })
    await api.introspect(access_token)
    await api.logout(access_token)
    t.ok(log.length > 5)
    for (const line of log.map((entry) => JSON.stringify(entry))) {
      t.notMatch(line, /\b(select|insert|update|delete)\b.*\b(from|into|set|where)\b|evalsha|hgetall|lk1:/i)
    }
    const speaking = log.filter(({ log }) => log !== 'audit').map((entry) => JSON.stringify(entry))
    for (const line of speaking) t.notMatch(line, /"(sub|sid|sids|id|username)":/, 'ids are the audit log’s alone')
  })
}

// Rules that do not depend on the store.
for (const store of anyStore) {
  test(`${store}: manage-jwt: an unknown user gets 401 like a wrong password, and not 404`, async (t) => {
    const { api } = await startService(t, store)
    await api.signUp('ada', PASSWORD)
    const unknown = await api.login('nobody', PASSWORD)
    const wrong = await api.login('ada', 'not the password')
    t.match(unknown, { status: 401, body: { error: 'invalid_grant' } })
    t.strictSame([unknown.status, unknown.text], [wrong.status, wrong.text])
  })

  test(`${store}: manage-jwt: a token in the address gets 400, gives no access and ends nothing`, async (t) => {
    const { api } = await startService(t, store)
    await api.signUp('ada', PASSWORD)
    const { access_token: token, refresh_token } = await api.tokens('ada', PASSWORD)
    const calls: [string, string][] = [
      ['GET', `/sessions?token=${token}`],
      ['GET', `/sessions?access_token=${token}`],
      ['POST', `/logout?token=${token}`],
      ['POST', `/logout-all?token=${token}`],
      ['POST', `/revoke?token=${token}`],
      ['POST', `/introspect?token=${token}`],
      ['POST', `/refresh?refresh_token=${refresh_token}`],
      ['DELETE', `/sessions?except=current&token=${token}`],
    ]
    for (const [method, path] of calls) {
      const { status, body } = await api.call(path, { method })
      t.match({ status, error: body.error }, { status: 400, error: 'invalid_request' }, path.slice(0, 24))
    }
    t.equal(
      (await api.call(`/verify?token=${token}`)).status,
      401,
      'a gateway passes queries on: there it counts for nothing',
    )
    t.equal(await api.isActive(token), true)
    t.equal((await api.refresh(refresh_token)).status, 200)
  })

  test(`${store}: manage-jwt: a sign-up sets only the name and the password, whatever else it sends`, async (t) => {
    const { api, env } = await startService(t, store)
    const more = {
      id: '00000000-0000-4000-8000-000000000000',
      roles: ['admin'],
      disabled: true,
      disabled_at: 1,
      created_at: 1,
      password_hash: 'x',
      password_version: 99,
      username_key: 'root',
      scope: 'admin',
    }
    const { status, body } = await api.call('/users', { json: { username: 'ada', password: PASSWORD, ...more } })

    t.equal(status, 201)
    t.not(body.id, more.id)
    t.ok(body.created_at > 1)
    const [row] = await withAccounts(env, (_users, { db }) => db.selectFrom('users').selectAll().execute())
    t.match(row, { id: body.id, username_key: 'ada', roles: '[]', disabled_at: null, password_version: 1 })
    t.match(row?.password_hash, /^\$argon2id\$/)
    const { access_token } = await api.tokens('ada', PASSWORD)
    const seen = (await api.introspect(access_token)).body
    t.match(seen, { active: true, sub: body.id, scope: '' })
    t.strictSame(seen.roles, [])

    const login = await api.call('/login', {
      json: { username: 'ada', password: PASSWORD, sub: more.id, sid: 'mine', roles: ['admin'], client_id: 'todo' },
    })
    const mine = (await api.introspect(login.body.access_token)).body
    t.match(mine, { sub: body.id, sid: /^[\w-]{22}$/, client_id: 'latchkey' })
    t.strictSame(mine.roles, [])
  })
}

for (const store of ['sqlite', 'postgres'] as const) {
  test(`${store}: manage-jwt: rows of ended sessions are deleted`, async (t) => {
    const setInterval = globalThis.setInterval
    const hurried = (act: () => void, ms?: number) => setInterval(act, ms === 60_000 ? 100 : ms)
    t.intercept(globalThis, 'setInterval', { value: hurried })
    const env = await environment(t, store)
    const { api } = await startServiceWith(t, env)
    await api.signUp('ada', PASSWORD)

    const ended = [await api.tokens('ada', PASSWORD), await api.tokens('ada', PASSWORD)]
    t.equal(await countSessionRows(env), 2)
    for (const { access_token } of ended) await api.logout(access_token)
    t.equal(await countSessionRows(env), 0, 'a session that is ended is deleted')

    await api.tokens('ada', PASSWORD)
    await api.tokens('ada', PASSWORD)
    t.equal(await countSessionRows(env), 2)
    await withAccounts(env, (_users, { db }) => db.updateTable('sessions').set({ expires_at: 1 }).execute())
    await eventually(async () => (await countSessionRows(env)) === 0)
    t.equal(await countSessionRows(env), 0, 'one that has expired is swept')
    t.equal((await api.login('ada', PASSWORD)).status, 200)
  })

  test(`${store}: manage-jwt: the row of a live session is not swept`, async (t) => {
    const setInterval = globalThis.setInterval
    let sweeps = 0
    const hurried = (act: () => void, ms?: number) =>
      setInterval(
        () => {
          if (ms === 60_000) sweeps += 1
          act()
        },
        ms === 60_000 ? 20 : ms,
      )
    t.intercept(globalThis, 'setInterval', { value: hurried })
    const { api, env } = await startService(t, store)
    await api.signUp('ada', PASSWORD)
    const { access_token } = await api.tokens('ada', PASSWORD)
    const before = sweeps
    await eventually(() => sweeps >= before + 5)
    t.equal(await countSessionRows(env), 1)
    t.equal(await api.isActive(access_token), true)
  })
}

test('redis: manage-jwt: every key expires or is trimmed', async (t) => {
  const { api, env } = await startService(t, 'redis', { REFRESH_TTL: '1h', ACCESS_TTL: '1m' })
  const url = env.REDIS_URL as string
  const client = { client_id: api.client.id, client_secret: api.client.secret }
  const { body: own } = await api.call('/token', { form: { grant_type: 'client_credentials', ...client } })
  await api.call('/revoke', { form: { token: own.access_token, ...client } })
  for (let i = 0; i < 6; i += 1) await api.login('nobody', 'not the password')
  await api.signUp('ada', PASSWORD)
  const { access_token } = await api.tokens('ada', PASSWORD)
  await api.logout(access_token)
  const { refresh_token } = await api.tokens('ada', PASSWORD)
  await api.refresh(refresh_token)

  const keys = await redisKeys(url)
  t.strictSame(
    new Set(keys.map(({ key }) => kindOf(key))),
    new Set(['session', 'index', 'client', 'throttle', 'single']),
  )
  for (const { key, ttl } of keys) {
    // The feed is trimmed.
    if (key !== 'lk1:feed') t.ok(ttl > 0, `${key} ends in ${ttl} ms`)
  }

  const keysOfUsers = async () =>
    (await redisKeys(url)).filter(({ key }) => ['session', 'index'].includes(kindOf(key))).map(({ key }) => key)
  await withRedis(url, async (redis) => {
    // To Redis, a key that expires an hour earlier looks like a clock that is an hour later.
    for (const key of await keysOfUsers()) await redis.pexpireat(key, (await redis.pexpiretime(key)) - 3_600_000)
  })
  await eventually(async () => (await keysOfUsers()).length === 0)
  t.strictSame(await keysOfUsers(), [], 'nothing of a user is left when the last session has expired')
})

function kindOf(key: string): string {
  if (['lk1:feed', 'lk1:retention:{lk1:feed}', 'lk1:epoch', 'lk1:store'].includes(key)) return 'single'
  if (/^lk1:\{[0-9a-f-]{36}\}:s:[\w-]{22}$/.test(key)) return 'session'
  if (/^lk1:\{[0-9a-f-]{36}\}:i$/.test(key)) return 'index'
  if (/^lk1:\{[\w.-]+\}:n$/.test(key)) return 'client'
  return key.startsWith('lk1:t:') ? 'throttle' : key
}

test('redis: F30 the epoch and the store id of an earlier version get a TTL too', async (t) => {
  const { env } = await startService(t, 'redis')
  const url = env.REDIS_URL as string
  await withRedis(url, async (redis) => {
    for (const key of ['lk1:epoch', 'lk1:store']) await redis.persist(key)
  })
  await startServiceWith(t, env)
  const withoutTtl = async () => (await redisKeys(url)).filter(({ ttl }) => ttl < 0).map(({ key }) => key)
  await eventually(async () => (await withoutTtl()).join() === 'lk1:feed')
  t.strictSame(await withoutTtl(), ['lk1:feed'])
})

test('redis: manage-jwt: the feed drops entries that no token can need', async (t) => {
  const env = await environment(t, 'redis', { ACCESS_TTL: '1s' })
  const url = env.REDIS_URL as string
  const old = Date.now() - 3_600_000
  await withRedis(url, async (redis) => {
    for (let i = 0; i < 1000; i += 1) await redis.xadd('lk1:feed', `${old + i}-0`, 'sid', `old-${i}`)
  })
  const { api } = await startServiceWith(t, env)
  const length = () => withRedis(url, (redis) => redis.xlen('lk1:feed'))
  // Redis trims whole nodes of its tree, of a hundred entries each.
  await eventually(async () => (await length()) <= 200)
  await api.signUp('ada', PASSWORD)
  const { access_token, sid } = await api.tokens('ada', PASSWORD)
  await api.logout(access_token)
  t.match(JSON.stringify(await withRedis(url, (redis) => redis.xrange('lk1:feed', '-', '+'))), sid)
})
