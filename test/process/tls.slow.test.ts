import { execFileSync } from 'node:child_process'
import { closeSync, copyFileSync, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { Agent, request } from 'node:https'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from 'node:tls'
import pg from 'pg'
import { test } from 'tap'
import { eventually } from '../support/eventually.js'
import { makeCertificates } from '../support/servers/certificates.js'
import { environment, PASSWORD, startServiceWith, temporaryFolder } from '../support/service.js'

/** The lock of migrations. A process that starts asks for it until it is free. */
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
  const sessions = 'SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()'
  await eventually(async () => ((await other.query(sessions)).rowCount ?? 0) > 0)
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

test('O11: half of a chain and a read that hangs leave the certificate as it is, and sign-ins go on', async (t) => {
  const pair = makeCertificates(temporaryFolder(t))
  const folder = temporaryFolder(t)
  const [certFile, keyFile, pipe] = [join(folder, 'tls.crt'), join(folder, 'tls.key'), join(folder, 'pipe')]
  copyFileSync(pair.certificate, certFile)
  copyFileSync(pair.key, keyFile)
  const env = await environment(t, 'sqlite', { TLS_CERT_FILE: certFile, TLS_KEY_FILE: keyFile })
  const { api, log } = await startServiceWith(t, env)
  const before = await fingerprintOf(api.url)
  const half = readFileSync(pair.certificate, 'utf8') + readFileSync(pair.ca, 'utf8').slice(0, 400)

  writeFileSync(certFile, half)
  await eventually(() => log.some(({ reason }) => /certificate of the chain is broken: write/.test(String(reason))))
  t.equal(await fingerprintOf(api.url), before)
  await t.rejects(startServiceWith(t, env), { message: /TLS_CERT_FILE: a certificate of the chain is broken/ })

  // Nobody writes to this pipe, so each read of it takes a thread until the end of the test.
  execFileSync('mkfifo', [pipe])
  for (const file of [certFile, keyFile]) {
    execFileSync('ln', ['-f', pipe, `${file}.new`])
    renameSync(`${file}.new`, file)
  }
  t.teardown(() => closeSync(openSync(pipe, 'r+')))
  // Four reads, as many as there are threads.
  await sleep(4500)
  t.equal(await signUpAt(api.url), 201)
  t.equal(await fingerprintOf(api.url), before)
})

/** Needs a thread for the hash of the password. Returns the status. */
function signUpAt(url: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const options = { method: 'POST', agent: new Agent({ rejectUnauthorized: false }), timeout: 20_000 }
    const outgoing = request(
      `${url}/users`,
      { ...options, headers: { 'content-type': 'application/json' } },
      (answer) => {
        answer.resume()
        resolve(answer.statusCode)
      },
    )
    outgoing.on('timeout', () => outgoing.destroy(new Error('no answer'))).on('error', reject)
    outgoing.end(JSON.stringify({ username: 'ada', password: PASSWORD }))
  })
}
