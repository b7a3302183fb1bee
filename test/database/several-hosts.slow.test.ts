import pg from 'pg'
import { test } from 'tap'
import { eventually } from '../support/eventually.js'
import { latchkey } from '../support/latchkey.js'
import { Ledger, timed } from '../support/load.js'
import { startPostgres } from '../support/servers/postgres.js'
import { startTcpProxy } from '../support/servers/tcp-proxy.js'
import { environment, PASSWORD, startReady } from '../support/service.js'

test('of several Postgres hosts the service uses the primary, and after a failover the new one, although a host does not answer', async (t) => {
  const primary = await startPostgres({ durable: false })
  t.teardown(() => primary.stop())
  const standby = await startPostgres({ durable: false, standbyOf: primary })
  t.teardown(() => standby.stop())
  const silent = await startTcpProxy(primary.port)
  t.teardown(() => silent.stop())
  silent.blackhole()
  const hosts = [silent, standby, primary].map(({ port }) => `127.0.0.1:${port}`).join()
  const DATABASE_URL = `postgres://latchkey@${hosts}/postgres?target_session_attrs=read-write`

  const alone = `postgres://latchkey@127.0.0.1:${standby.port}/postgres?target_session_attrs=primary`
  const refused = await latchkey(['migrate'], { DATABASE_URL: alone })
  t.match(refused, { code: 1, stderr: /127\.0\.0\.1:\d+ is a standby, or read-only/ })
  t.equal(refused.stderr.trimEnd().split('\n').length, 1)

  const { once: api, managementUrl } = await startReady(t, { ...(await environment(t, 'sqlite')), DATABASE_URL })
  const ledger = new Ledger()
  const insist: Ledger['insist'] = (ask) => ledger.insist(ask)
  t.equal((await insist(() => api.signUp('ada', PASSWORD))).status, 201)
  const { body: before } = await insist(() => api.login('ada', PASSWORD))
  const burst = await Promise.all(Array.from({ length: 30 }, () => insist(() => api.introspect(before.access_token))))
  t.ok(burst.every(({ body }) => body.active))

  // Replication is asynchronous here.
  const reader = new pg.Client({ connectionString: standby.url })
  await reader.connect()
  t.teardown(() => reader.end())
  await eventually(async () => (await reader.query('SELECT 1 FROM sessions')).rowCount === 1)

  primary.stop()
  const { status } = await timed(() => api.introspect(before.access_token))
  t.equal(status, 503, 'a standby answers no request')
  t.equal((await fetch(`${managementUrl}/readyz`)).status, 503)
  standby.promote()
  await eventually(async () => (await fetch(`${managementUrl}/readyz`)).status === 200)
  t.equal((await insist(() => api.refresh(before.refresh_token))).status, 200)
  t.equal((await insist(() => api.signUp('eve', PASSWORD))).status, 201)
})

test('the parameters host and port name several hosts too', async (t) => {
  const primary = await startPostgres({ durable: false })
  t.teardown(() => primary.stop())
  const DATABASE_URL = `postgres://latchkey@/postgres?host=127.0.0.1,127.0.0.1&port=1,${primary.port}`
  t.match(await latchkey(['migrate'], { DATABASE_URL }), { code: 0, stderr: '' })
  const gone = await latchkey(['migrate'], {
    DATABASE_URL: 'postgres://latchkey:canary@127.0.0.1:1,127.0.0.1:2/postgres',
  })
  t.match(gone, { code: 1, stderr: /ECONNREFUSED 127\.0\.0\.1:1, .*ECONNREFUSED 127\.0\.0\.1:2/ })
  t.notMatch(gone.stderr, /canary/)
})
