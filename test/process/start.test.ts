import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { type Test, test } from 'tap'
import { createService } from '../../src/app.js'
import { addDevelopmentSecrets } from '../../src/config/development-secrets.js'
import { readConfig } from '../../src/config/read.js'
import { createLogger } from '../../src/log.js'
import { Unavailable } from '../../src/unavailable.js'
import { eventually } from '../support/eventually.js'
import { freePort } from '../support/servers/ports.js'
import { createPostgresDatabase } from '../support/servers/postgres.js'
import { type Environment, environment, redisOf, temporaryFolder } from '../support/service.js'
import { withRedis } from '../support/store-inspection.js'

const program = fileURLToPath(new URL('../../src/server.js', import.meta.url))

/** Runs a service that is expected to exit, in an empty folder, with only this environment. */
async function start(t: Test, env: Environment): Promise<{ status: number | null; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, [program], { cwd: temporaryFolder(t), env, stdio: ['ignore', 'pipe', 'pipe'] })
  t.teardown(() => child.kill('SIGKILL'))
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (chunk) => {
    stdout += chunk
  })
  child.stderr.on('data', (chunk) => {
    stderr += chunk
  })
  const [status] = await once(child, 'close')
  return { status, stdout, stderr }
}

const ports = async (): Promise<Environment> => ({
  PORT: String(await freePort()),
  MANAGEMENT_PORT: String(await freePort()),
})

test('C4: a faulty configuration ends the process with status 1 and a message without a stack trace', async (t) => {
  const ended = await start(t, { NODE_ENV: 'production', PORT: 'abc', REDIS_URL: 'localhost', JWT_SECRET: 'Zq7canary' })
  t.equal(ended.status, 1)
  t.equal(ended.stdout, '')
  const [heading, ...faults] = ended.stderr.trimEnd().split('\n')
  t.equal(heading, 'latchkey: the configuration has 4 faults:')
  t.strictSame(faults.sort(), [
    '  JWT_SECRET: the secret is shorter than 32 bytes: make one with  openssl rand -base64 48',
    '  PORT: write a whole number from 0 to 65535',
    '  REDIS_URL: write an address that begins with redis:// or rediss://',
    '  REFRESH_SECRET: must be set in production: make one with  openssl rand -base64 48',
  ])
})

test('the message names a port that is taken, and says what to do', async (t) => {
  const taken = createServer().listen(0, '127.0.0.1')
  t.teardown(() => taken.close())
  await once(taken, 'listening')
  const { port } = taken.address() as { port: number }
  for (const name of ['PORT', 'MANAGEMENT_PORT']) {
    const { status, stderr } = await start(t, { ...(await ports()), [name]: String(port) })
    t.equal(status, 1)
    t.equal(stderr, `latchkey: port ${port} is taken: set PORT or MANAGEMENT_PORT to another\n`)
  }
})

test('an address of another machine is reported in one line', async (t) => {
  const { status, stderr } = await start(t, { ...(await ports()), HOST: '192.0.2.1' })
  t.equal(status, 1)
  t.match(stderr, /^latchkey: .*EADDRNOTAVAIL.*192\.0\.2\.1.*: check HOST and the ports\n$/)
})

test('a database that cannot be opened is reported in one line, without its password', async (t) => {
  const nobody = await freePort()
  const folder = temporaryFolder(t)
  writeFileSync(join(folder, 'junk.db'), 'this is a text of some length, and not a database\n'.repeat(100))
  const rows: [[string, RegExp], ...[string, RegExp][]] = [
    [`postgres://latchkey:Zq7canary@127.0.0.1:${nobody}/latchkey`, /ECONNREFUSED/],
    [`postgres://latchkey:Zq7canary@localhost:${nobody}/latchkey`, /ECONNREFUSED/],
    [`postgres://latchkey:Zq7canary@/latchkey?host=${folder}`, /ENOENT.*PGSQL/],
    [
      `postgres://latchkey:Zq7canary@127.0.0.1/latchkey?sslmode=verify-full&sslrootcert=${folder}/ca.pem`,
      /ENOENT.*ca\.pem/,
    ],
    [`sqlite:${folder}`, /cannot open the SQLite database/],
    [`sqlite:${folder}/junk.db`, /not a database/],
  ]
  const [[firstUrl, firstReason]] = rows
  const { status, stderr } = await start(t, { ...(await ports()), DATABASE_URL: firstUrl })
  t.equal(status, 1)
  t.match(stderr, /^latchkey: [^\n]*: check DATABASE_URL, and that the server runs\n$/)
  t.match(stderr, firstReason)
  t.notMatch(stderr, 'Zq7canary')

  // A process costs seconds of CPU. It writes the message of this error, and then what to check, as above.
  const env = await environment(t, 'sqlite')
  for (const [url, reason] of rows) {
    const config = addDevelopmentSecrets(readConfig({ ...env, DATABASE_URL: url }))
    const error: unknown = await createService(config, createLogger('silent')).catch((thrown: unknown) => thrown)
    t.ok(error instanceof Unavailable, url)
    const { message } = error as Unavailable
    t.match(message, /^[^\n]+$/)
    t.match(message, reason)
    t.notMatch(message, 'Zq7canary')
  }
})

test('a role without rights gets one line that names the grant', async (t) => {
  const { url, drop } = await createPostgresDatabase()
  t.teardown(drop)
  const role = `guest_${new URL(url).pathname.slice(1)}`
  const admin = new pg.Client({ connectionString: url })
  await admin.connect()
  await admin.query(`CREATE ROLE ${role} LOGIN`)
  t.teardown(async () => {
    await admin.query(`DROP ROLE ${role}`)
    await admin.end()
  })
  const guest = new URL(url)
  guest.username = role
  const { status, stderr } = await start(t, { ...(await ports()), DATABASE_URL: guest.href })
  t.equal(status, 1)
  t.match(stderr, /^latchkey: [^\n]*permission denied[^\n]*GRANT USAGE, CREATE ON SCHEMA public[^\n]*\n$/)
})

test('a start that fails closes the stores that it has opened', async (t) => {
  const redis = await redisOf(t)
  const env = await environment(t, 'sqlite', { REDIS_URL: redis.url })
  const config = {
    ...addDevelopmentSecrets(readConfig(env)),
    // The start reads this setting after it has opened the stores.
    get hashConcurrency(): number {
      throw new Error('a fault of this test')
    },
  }
  await t.rejects(createService(config, createLogger('silent')), { message: 'a fault of this test' })
  await withRedis(redis.url, (admin) =>
    // The only connection is the one that asks, so the list has one line.
    eventually(
      async () =>
        !String(await admin.client('LIST'))
          .trim()
          .includes('\n'),
    ),
  )
})
