import { copyFileSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from 'node:tls'
import pg from 'pg'
import { test } from 'tap'
import { eventually } from '../support/eventually.js'
import { makeCertificates } from '../support/servers/certificates.js'
import { environment, startServiceWith, temporaryFolder } from '../support/service.js'

/** Kysely's lock of migrations: a process that starts waits here for another one. */
const MIGRATION_LOCK = '3853314791062309107'

/** The fingerprint of the certificate on this address. */
function fingerprintOf(url: string): Promise<string> {
  const { port } = new URL(url)
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port: Number(port), rejectUnauthorized: false }, () => {
      resolve(socket.getPeerCertificate().fingerprint256)
      socket.destroy()
    }).on('error', reject)
  })
}

test('O10: a certificate that is renewed while the service starts is in use, on both ports', async (t) => {
  const [first, second] = [makeCertificates(temporaryFolder(t)), makeCertificates(temporaryFolder(t))]
  const folder = temporaryFolder(t)
  const [certFile, keyFile] = [join(folder, 'tls.crt'), join(folder, 'tls.key')]
  const install = ({ certificate, key }: typeof first) => {
    copyFileSync(certificate, certFile)
    copyFileSync(key, keyFile)
  }
  install(second)
  const env = await environment(t, 'postgres', { TLS_CERT_FILE: certFile, TLS_KEY_FILE: keyFile })
  const renewed = await startServiceWith(t, env).then(async ({ api, close }) => {
    const found = await fingerprintOf(api.url)
    await close()
    return found
  })
  install(first)
  const other = new pg.Client(env.DATABASE_URL)
  await other.connect()
  t.teardown(() => other.end())
  await other.query('SELECT pg_advisory_lock($1)', [MIGRATION_LOCK])

  const starting = startServiceWith(t, env)
  const waiting = `SELECT 1 FROM pg_locks JOIN pg_database ON oid = database
    WHERE locktype = 'advisory' AND NOT granted AND datname = current_database()`
  await eventually(async () => (await other.query(waiting)).rowCount === 1)
  install(second)
  // Longer than two reads of the files, which come each second. Nothing says that a file was not read.
  await sleep(3000)
  await other.query('SELECT pg_advisory_unlock($1)', [MIGRATION_LOCK])

  const { api, managementUrl } = await starting
  await eventually(async () =>
    (await Promise.all([api.url, managementUrl].map(fingerprintOf))).every((found) => found === renewed),
  )
  t.equal(readFileSync(certFile, 'utf8'), readFileSync(second.certificate, 'utf8'))
})
