import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { type Test, test } from 'tap'
import { openDatabase } from '../../src/database/open.js'
import type { Answer, Tokens } from '../support/api.js'
import { eventually } from '../support/eventually.js'
import { Ledger, timed } from '../support/load.js'
import { createPostgresDatabase } from '../support/servers/postgres.js'
import { startRedis } from '../support/servers/redis.js'
import { startTcpProxy } from '../support/servers/tcp-proxy.js'
import { environment, PASSWORD, startServiceWith } from '../support/service.js'
import { scaledLimit } from '../support/time-limits.js'

/** A busy machine may exceed a timeout of the service, which answers 503. */
const insist = (ask: () => Promise<Answer>) => new Ledger().insist(ask)

/** A service that reaches its Postgres through a proxy. Sessions are in Postgres or in Redis. */
async function start(t: Test, sessionsIn: 'postgres' | 'redis') {
  const env = await environment(t, 'postgres')
  const url = new URL(env.DATABASE_URL as string)
  const wire = await startTcpProxy(Number(url.port))
  t.teardown(() => wire.stop())
  url.port = String(wire.port)
  if (sessionsIn === 'redis') {
    const redis = await startRedis()
    t.teardown(() => redis.stop())
    env.REDIS_URL = redis.url
  }
  const direct = env.DATABASE_URL as string
  const service = await startServiceWith(t, { ...env, DATABASE_URL: url.href })
  await insist(() => service.api.signUp('ada', PASSWORD))
  const { body: tokens } = await insist(() => service.api.login('ada', PASSWORD))
  await insist(() => service.api.introspect(tokens.access_token))
  return { ...service, api: service.once, wire, direct, tokens: tokens as Tokens }
}

const ways = {
  'F15 Postgres is gone': 'cut',
  'F16 Postgres is stalled': 'blackhole',
} as const

for (const [what, happen] of Object.entries(ways)) {
  test(`${what}: introspection works, sign-in answers 503 within a second, and the service recovers within two`, async (t) => {
    const { api, wire, tokens } = await start(t, 'redis')
    wire[happen]()
    for (let i = 0; i < 3; i += 1) {
      const login = await timed(() => api.login('ada', PASSWORD))
      t.match(login, { status: 503, headers: { 'retry-after': '1' } })
      t.ok(login.took < scaledLimit(2000), `sign-in: ${login.took} ms`)
    }
    const burst = Array.from({ length: 60 }, () => timed(() => api.login('ada', PASSWORD)))
    for (const { status, took } of await Promise.all(burst)) {
      t.equal(status, 503)
      t.ok(took < scaledLimit(2000), `one of 60 sign-ins at once: ${took} ms`)
    }
    // Longer than the service remembers clients.
    let longest = 0
    let slow = 0
    for (const end = Date.now() + 6500; Date.now() < end; await sleep(20)) {
      const { took, status, body } = await timed(() => insist(() => api.introspect(tokens.access_token)))
      if (status !== 200 || !body.active) throw new Error(`introspection answered ${status}`)
      longest = Math.max(longest, took)
      if (took > scaledLimit(300)) slow += 1
    }
    t.ok(longest < scaledLimit(2000), `the longest introspection took ${longest} ms`)
    t.ok(slow <= 3, `${slow} of them waited for the database`)
    t.equal((await insist(() => api.refresh(tokens.refresh_token))).status, 200, 'a refresh needs no accounts')

    wire.restore()
    const took = await eventually(async () => (await api.login('ada', PASSWORD)).status === 200)
    t.ok(took < scaledLimit(2500), `healed after ${took} ms`)
  })
}

test('F16: sessions in a stalled Postgres: each request gets 503 within a second, and requests do not pile up', async (t) => {
  const { api, wire, tokens } = await start(t, 'postgres')
  wire.blackhole()
  const answers = await Promise.all(
    Array.from({ length: 200 }, (_, i) =>
      timed(() => (i % 2 ? api.introspect(tokens.access_token) : api.refresh(tokens.refresh_token))),
    ),
  )
  t.strictSame(new Set(answers.map(({ status }) => status)), new Set([503]))
  t.ok(Math.max(...answers.map(({ took }) => took)) < scaledLimit(2000), 'of 200 at once')
  wire.restore()
  const took = await eventually(async () => (await api.introspect(tokens.access_token)).status === 200)
  t.ok(took < scaledLimit(2500), `the half-open connections are gone after ${took} ms`)
})

test('F17: Postgres terminates every connection of the service: the service recovers within two seconds', async (t) => {
  const { api, direct, tokens } = await start(t, 'postgres')
  const admin = new pg.Client({ connectionString: direct })
  await admin.connect()
  t.teardown(() => admin.end())
  for (let round = 0; round < 3; round += 1) {
    await admin.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`,
    )
    const took = await eventually(async () => (await api.introspect(tokens.access_token)).status === 200)
    t.ok(took < scaledLimit(2000), `after ${took} ms`)
    t.equal((await insist(() => api.introspect(tokens.access_token))).body.active, true)
  }
})

test('F17: after a failover the service discards its connections to the standby', async (t) => {
  const { api, direct, tokens } = await start(t, 'postgres')
  const admin = new pg.Client({ connectionString: direct })
  await admin.connect()
  t.teardown(() => admin.end())
  const name = new URL(direct).pathname.slice(1)
  await admin.query(`ALTER DATABASE ${name} SET default_transaction_read_only = on`)
  await admin.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`,
  )
  await eventually(async () => (await api.refresh(tokens.refresh_token)).status === 503)

  // New connections may write. The old connections are read-only until they end.
  await admin.query(`SET default_transaction_read_only = off`)
  await admin.query(`ALTER DATABASE ${name} RESET default_transaction_read_only`)
  const took = await eventually(async () => (await api.refresh(tokens.refresh_token)).status === 200)
  t.ok(took < scaledLimit(2000), `after ${took} ms`)
})

/** Postgres itself raises an error at every first and second of these events. Returns how many events there were so far. */
async function failTwice(t: Test, url: string, code: string, event: string): Promise<() => Promise<string>> {
  const admin = new pg.Client({ connectionString: url })
  await admin.connect()
  t.teardown(() => admin.end())
  await admin.query(`
    CREATE SEQUENCE tries;
    CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        IF nextval('tries') % 3 <> 0 THEN RAISE EXCEPTION 'no' USING ERRCODE = '${code}'; END IF;
        RETURN coalesce(NEW, OLD);
      END $$;
    CREATE TRIGGER fail BEFORE ${event} FOR EACH ROW EXECUTE FUNCTION fail();`)
  return async () => (await admin.query(`SELECT last_value FROM tries`)).rows[0].last_value
}

for (const [code, name] of [
  ['40001', 'a serialization failure'],
  ['40P01', 'a deadlock'],
] as const) {
  test(`F18: a statement is retried after ${name}`, async (t) => {
    const { api, direct, tokens } = await start(t, 'postgres')
    const tries = await failTwice(t, direct, code, 'UPDATE ON sessions')
    const { status, body } = await api.refresh(tokens.refresh_token)
    t.equal(status, 200)
    t.equal(await api.isActive(body.access_token), true)
    t.equal(await tries(), '3')
  })

  test(`F18: a transaction is retried after ${name}`, async (t) => {
    const { api, direct, tokens } = await start(t, 'postgres')
    const tries = await failTwice(t, direct, code, 'DELETE ON users')
    const deletion = { method: 'DELETE', bearer: tokens.access_token, json: { password: PASSWORD } }
    t.match(await api.call('/users/me', deletion), { status: 204 })
    t.equal(await tries(), '3')
    t.match(await api.signUp('ada', PASSWORD), { status: 201 }, 'the name is free')
  })
}

test('F18: a deadlock that Postgres finds before the statement times out costs no call', async (t) => {
  const env = await environment(t, 'postgres')
  const admin = new pg.Client({ connectionString: env.DATABASE_URL as string })
  await admin.connect()
  t.teardown(() => admin.end())
  // Postgres ends the transaction whose timer comes first: that of the service.
  await admin.query(`ALTER DATABASE ${admin.database} SET deadlock_timeout = '300ms'`)
  await admin.query(`SET deadlock_timeout = '1min'`)
  const { once: api } = await startServiceWith(t, env)

  for (let round = 0; ; round += 1) {
    const { body: user } = await insist(() => api.signUp(`ada${round}`, PASSWORD))
    const { body: tokens } = await insist(() => api.login(`ada${round}`, PASSWORD))
    await admin.query('BEGIN; LOCK TABLE factors IN ACCESS EXCLUSIVE MODE')
    const deletion = api.call('/users/me', {
      method: 'DELETE',
      bearer: tokens.access_token,
      json: { password: PASSWORD },
    })
    await eventually(async () => {
      const { rows } = await admin.query(
        `SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
      )
      return rows.length > 0
    })
    // The deletion holds this row and waits for the table.
    const { rows } = await admin.query('SELECT 1 FROM users WHERE id = $1 FOR UPDATE', [user.id])
    t.equal(rows.length, 1, 'Postgres has undone the deletion')
    await admin.query('COMMIT')
    const { status } = await deletion
    if (status === 204) break
    // The statement timed out first, because this process asked too late for the row.
    t.equal(status, 503)
    t.ok(round < 10, `${round} rounds came too late`)
  }
})

test('F19: while every connection waits, requests get 503 within a second; afterwards the service answers again', async (t) => {
  const { api, direct, tokens } = await start(t, 'postgres')
  const admin = new pg.Client({ connectionString: direct })
  await admin.connect()
  t.teardown(() => admin.end())
  await admin.query('BEGIN; LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE')

  const answers = await Promise.all(Array.from({ length: 60 }, () => timed(() => api.introspect(tokens.access_token))))
  t.strictSame(new Set(answers.map(({ status }) => status)), new Set([503]))
  t.ok(Math.max(...answers.map(({ took }) => took)) < scaledLimit(2000))

  await admin.query('ROLLBACK')
  const took = await eventually(async () => (await api.introspect(tokens.access_token)).status === 200)
  t.ok(took < scaledLimit(2000), `after ${took} ms`)
})

test('F28: an older version starts on the tables of a newer version, and works beside it', async (t) => {
  const { url, drop } = await createPostgresDatabase()
  t.teardown(drop)
  const env = await environment(t, 'sqlite', { DATABASE_URL: url })
  const old = await startServiceWith(t, env)
  await old.api.signUp('ada', PASSWORD)
  const admin = new pg.Client({ connectionString: url })
  await admin.connect()
  t.teardown(() => admin.end())

  // The changes that the rule above the migrations allows to a later version.
  await admin.query(`
    INSERT INTO kysely_migration (name, timestamp) VALUES ('9998-later', '2030'), ('9999-latest', '2030');
    ALTER TABLE users ADD COLUMN later text NOT NULL DEFAULT 'x';
    CREATE TABLE later (id text PRIMARY KEY)`)
  const again = await startServiceWith(t, env)
  const third = await startServiceWith(t, env)

  const { access_token: token } = await again.api.tokens('ada', PASSWORD)
  for (const { api } of [old, again, third]) t.equal(await api.isActive(token), true)
  t.equal((await third.api.signUp('bob', PASSWORD)).status, 201)
  t.equal((await old.api.logout(token)).status, 204)
  for (const { api } of [old, again, third]) t.equal(await api.isActive(token), false)
  const { rows } = await admin.query('SELECT name FROM kysely_migration ORDER BY name')
  t.strictSame(rows.slice(-2), [{ name: '9998-later' }, { name: '9999-latest' }])
})

test('F28: an older version starts on a SQLite file of a newer version', async (t) => {
  const env = await environment(t, 'sqlite')
  const old = await startServiceWith(t, env)
  await old.api.signUp('ada', PASSWORD)
  const { db, close } = await openDatabase(env.DATABASE_URL as string, () => {})
  await db
    .insertInto('kysely_migration' as 'users')
    .values({ name: '9999-latest', timestamp: '2030' } as never)
    .execute()
  await close()

  const again = await startServiceWith(t, env)
  t.equal(await old.api.isActive((await again.api.tokens('ada', PASSWORD)).access_token), true)
})
