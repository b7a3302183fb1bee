import { test } from 'tap'
import { latchkey } from '../support/latchkey.js'
import { startPgbouncer } from '../support/servers/pgbouncer.js'
import { createPostgresDatabase } from '../support/servers/postgres.js'
import { environment, PASSWORD, startReady } from '../support/service.js'

test('PgBouncer in transaction mode: a start without pgbouncer=true says what to do, and with it sessions work', async (t) => {
  const { url, drop } = await createPostgresDatabase()
  t.teardown(drop)
  const bouncer = await startPgbouncer(Number(new URL(url).port))
  t.teardown(() => bouncer.stop())
  const address = new URL(url)
  address.port = String(bouncer.port)

  const refused = await latchkey(['users', 'create', 'ada'], { DATABASE_URL: address.href }, `${PASSWORD}\n`)
  t.match(refused, { code: 1, stderr: /add pgbouncer=true to DATABASE_URL, or set ignore_startup_parameters/ })
  t.equal(refused.stderr.trimEnd().split('\n').length, 1, 'one line')
  const withSchema = `${address.href}?pgbouncer=true&options=-c%20search_path%3Dauth`
  t.match(await latchkey(['users', 'list'], { DATABASE_URL: withSchema }), { code: 1, stderr: /run ALTER ROLE/ })

  const env = { ...(await environment(t, 'sqlite')), DATABASE_URL: `${address.href}?pgbouncer=true` }
  // Both migrate at once. The lock lives in a transaction, so it holds on one connection of the pooler.
  const replicas = await Promise.all([startReady(t, env), startReady(t, env)])
  const [one, two] = replicas.map(({ api }) => api) as [(typeof replicas)[0]['api'], (typeof replicas)[0]['api']]
  t.equal((await one.signUp('eve', PASSWORD)).status, 201)
  // More requests at once than the pooler has connections.
  const signIns = await Promise.all(Array.from({ length: 30 }, (_, i) => (i % 2 ? one : two).login('eve', PASSWORD)))
  const tokens = signIns.filter(({ status }) => status === 200).map(({ body }) => body)
  t.ok(tokens.length > 0)
  t.ok(signIns.every(({ status }) => [200, 503].includes(status)))
  const [first] = tokens
  const races = await Promise.all([one, two, one, two].map((api) => api.refresh(first.refresh_token)))
  t.equal(new Set(races.map(({ body }) => body.refresh_token)).size, 1, 'a refresh is exactly once')
  const [{ body: latest }] = races as [(typeof races)[0]]
  t.equal(await two.isActive(latest.access_token), true)
  t.equal((await one.call('/logout', { json: { token: latest.refresh_token } })).status, 204)
  t.equal(await two.isActive(latest.access_token), false)
})
