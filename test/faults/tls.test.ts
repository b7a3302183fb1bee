import { execFileSync } from 'node:child_process'
import { chmodSync, chownSync, copyFileSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { test } from 'tap'
import { eventually } from '../support/eventually.js'
import { latchkeyProcess } from '../support/latchkey.js'
import { makeCertificates } from '../support/servers/certificates.js'
import { freePort } from '../support/servers/ports.js'
import { startPostgres } from '../support/servers/postgres.js'
import { startRedis } from '../support/servers/redis.js'
import { environment, PASSWORD, spawnService, temporaryFolder } from '../support/service.js'

test('the service uses Redis and Postgres over TLS with a private CA, and refuses servers of an untrusted CA', async (t) => {
  const { ca, certificate, key } = makeCertificates(temporaryFolder(t))
  const tlsPort = await freePort()
  const redis = await startRedis({
    args: [
      ...['--tls-port', String(tlsPort), '--tls-cert-file', certificate, '--tls-key-file', key],
      ...['--tls-ca-cert-file', ca, '--tls-auth-clients', 'no'],
    ],
  })
  t.teardown(() => redis.stop())
  const postgres = await startPostgres()
  t.teardown(() => postgres.stop())
  for (const [from, name] of [
    [certificate, 'server.crt'],
    [key, 'server.key'],
  ] as const) {
    const to = join(postgres.directory, name)
    copyFileSync(from, to)
    chmodSync(to, 0o600)
    if (process.getuid?.() === 0) {
      const id = (flag: string) => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }))
      chownSync(to, id('-u'), id('-g'))
    }
  }
  const admin = new pg.Client({ connectionString: postgres.url })
  await admin.connect()
  await admin.query('ALTER SYSTEM SET ssl = on')
  await admin.query('SELECT pg_reload_conf()')
  await eventually(async () => (await admin.query('SHOW ssl')).rows[0].ssl === 'on')
  await admin.end()
  const env = await environment(t, 'sqlite', {
    REDIS_URL: `rediss://localhost:${tlsPort}`,
    DATABASE_URL: `${postgres.url}?sslmode=verify-full&sslrootcert=${ca}`,
  })

  const { api } = await spawnService(t, { ...env, NODE_EXTRA_CA_CERTS: ca })
  await api.signUp('ada', PASSWORD)
  const { access_token: token } = await api.tokens('ada', PASSWORD)
  t.equal(await api.isActive(token), true)
  const other = new pg.Client({ connectionString: postgres.url })
  await other.connect()
  const { rows } = await other.query(
    `SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'latchkey'`,
  )
  await other.end()
  t.strictSame(rows, [{ ssl: true }])

  const migrated = await latchkeyProcess(['migrate'], { DATABASE_URL: `${postgres.url}?sslmode=require` })
  t.match(migrated, { code: 1, stderr: /certificate.*name the authority with sslrootcert=PATH/ })

  const distrusting = await spawnService(t, { ...env, DATABASE_URL: env.DATABASE_URL as string }, undefined, 'live')
  t.equal((await distrusting.once.login('ada', PASSWORD)).status, 503)
  await eventually(() => /self-signed certificate|unable to verify/.test(distrusting.output()))
})
