import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { type Test, test } from 'tap'
import { latchkey } from '../support/latchkey.js'
import { createPostgresDatabase } from '../support/servers/postgres.js'
import { environment, PASSWORD, startReady, startServiceWith } from '../support/service.js'

/** A database, a superuser in it, and a role without rights. */
async function start(t: Test) {
  const { url, drop } = await createPostgresDatabase()
  t.teardown(drop)
  const admin = new pg.Client({ connectionString: url })
  await admin.connect()
  t.teardown(() => admin.end())
  const role = `role_${randomBytes(6).toString('hex')}`
  await admin.query(`CREATE ROLE ${role} LOGIN`)
  t.teardown(() => admin.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`))
  return { url, admin, role, asRole: url.replace('latchkey@', `${role}@`) }
}

test('the tables are in the first schema of the search path, also when another program has tables of the same names in public', async (t) => {
  const { url, admin } = await start(t)
  await admin.query(`
    CREATE SCHEMA auth;
    CREATE TABLE kysely_migration (name varchar(255) PRIMARY KEY, timestamp varchar(255) NOT NULL);
    CREATE TABLE kysely_migration_lock (id varchar(255) PRIMARY KEY, is_locked integer NOT NULL);
    INSERT INTO kysely_migration VALUES ('0001-of-another-program', '');
    CREATE TABLE users (id text)`)
  const env = { ...(await environment(t, 'sqlite')), DATABASE_URL: `${url}?options=-c%20search_path%3Dauth` }
  for (const name of ['ada', 'eve']) {
    const { api, close } = await startReady(t, env)
    t.equal((await api.signUp(name, PASSWORD)).status, 201)
    t.equal((await api.refresh((await api.tokens(name, PASSWORD)).refresh_token)).status, 200)
    await close()
  }
  t.equal((await admin.query('SELECT count(*)::int AS n FROM auth.users')).rows[0].n, 2)
  t.equal((await admin.query('SELECT count(*)::int AS n FROM public.users')).rows[0].n, 0)
  t.equal((await admin.query('SELECT count(*)::int AS n FROM public.kysely_migration')).rows[0].n, 1)

  const missing = await latchkey(['migrate'], { DATABASE_URL: `${url}?options=-c%20search_path%3Dnowhere` })
  t.match(missing, {
    code: 1,
    stderr: /can use no schema of its search path \(nowhere\): run CREATE SCHEMA nowhere AUTHORIZATION latchkey/,
  })
})

test('a role without rights is refused in one line that names the grant, and the grant is enough', async (t) => {
  const { url, admin, role, asRole } = await start(t)
  await admin.query('CREATE SCHEMA auth')
  const inAuth = '?options=-c%20search_path%3Dauth'
  for (const [schema, options] of [
    ['public', ''],
    ['auth', inAuth],
  ] as const) {
    const DATABASE_URL = asRole + options
    const refused = await latchkey(['migrate'], { DATABASE_URL })
    t.equal(refused.code, 1, schema)
    t.match(refused.stderr, new RegExp(`GRANT USAGE, CREATE ON SCHEMA ${schema} TO `))
    t.equal(refused.stderr.trimEnd().split('\n').length, 1, 'one line')
    await admin.query(`GRANT USAGE, CREATE ON SCHEMA ${schema} TO ${role}`)
    t.match(await latchkey(['migrate'], { DATABASE_URL }), { code: 0, stderr: '' }, schema)
  }

  // Another role has migrated. This role may only read and write.
  await admin.query('CREATE SCHEMA narrow')
  const inNarrow = '?options=-c%20search_path%3Dnarrow'
  t.match(await latchkey(['migrate'], { DATABASE_URL: url + inNarrow }), { code: 0 })
  await admin.query(`GRANT USAGE ON SCHEMA narrow TO ${role}`)
  const env = { ...(await environment(t, 'sqlite')), DATABASE_URL: asRole + inNarrow }
  await t.rejects(startServiceWith(t, env), { message: /run GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES/ })
  await admin.query(`GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA narrow TO ${role}`)
  const { api } = await startReady(t, env)
  t.equal((await api.signUp('ada', PASSWORD)).status, 201)
  const { refresh_token: token } = await api.tokens('ada', PASSWORD)
  t.equal((await api.refresh(token)).status, 200)
  t.equal((await api.call('/logout', { json: { token } })).status, 204)
})
