import { execFileSync } from 'node:child_process'
import { closeSync, openSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import pg from 'pg'
import { type Test, test } from 'tap'
import { connectRedis } from '../../src/sessions/redis/client.js'
import { eventually } from '../support/eventually.js'
import { startPostgres } from '../support/servers/postgres.js'
import { startRedisCluster } from '../support/servers/redis-cluster.js'
import { startSentinels } from '../support/servers/redis-sentinel.js'
import { environment, PASSWORD, redisOf, spawnService, startReady, temporaryFolder } from '../support/service.js'

/** Whether a connection used the last credentials, because a busy disk or machine did not give the file in time. */
const wasFileLate = (log: object[]) => /could not be read within/.test(JSON.stringify(log))

test('a rotated password or user of Postgres and of Redis reaches each new connection, without a restart and without an error', async (t) => {
  const postgres = await startPostgres({ durable: false })
  t.teardown(() => postgres.stop())
  const redis = await redisOf(t, ['--requirepass', 'first'])
  const admin = new pg.Client({ connectionString: postgres.url })
  await admin.connect()
  t.teardown(() => admin.end())
  const cache = new Redis({ port: redis.port, password: 'first' })
  t.teardown(() => cache.disconnect())
  await admin.query("CREATE ROLE lease1 LOGIN SUPERUSER PASSWORD 'first'")
  writeFileSync(
    join(postgres.directory, 'pg_hba.conf'),
    'host all latchkey 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n',
  )
  await admin.query('SELECT pg_reload_conf()')
  const folder = temporaryFolder(t)
  const [databaseFile, redisFile] = [join(folder, 'database'), join(folder, 'redis')]
  const lease = (user: string, password: string, database = 'postgres') =>
    writeFileSync(databaseFile, `postgres://${user}:${password}@127.0.0.1:${postgres.port}/${database}\n`)
  lease('lease1', 'first')
  writeFileSync(redisFile, redis.url.replace('//', '//:first@'))
  const { DATABASE_URL: _, ...env } = await environment(t, 'sqlite')
  const { api, log } = await startReady(t, { ...env, DATABASE_URL_FILE: databaseFile, REDIS_URL_FILE: redisFile })
  await api.signUp('ada', PASSWORD)

  // The password of the same user, then a new user: a lease of a vault.
  const dropConnections = () =>
    admin.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'latchkey'")
  const usersOf = async () =>
    (await admin.query("SELECT DISTINCT usename FROM pg_stat_activity WHERE application_name = 'latchkey'")).rows
  for (const [user, password] of [
    ['lease1', 'second'],
    ['lease2', 'third'],
  ] as const) {
    if (user === 'lease1') await admin.query(`ALTER ROLE lease1 PASSWORD '${password}'`)
    else await admin.query(`CREATE ROLE ${user} LOGIN SUPERUSER PASSWORD '${password}'`)
    lease(user, password)
    await cache.config('SET', 'requirepass', password)
    writeFileSync(redisFile, redis.url.replace('//', `//:${password}@`))
    t.ok((await api.tokens('ada', PASSWORD)).access_token, 'the open connections go on')

    await dropConnections()
    await cache.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
    // A killed connection is an error of the moment: 503 until the next connection is there.
    await eventually(async () => (await api.login('ada', PASSWORD)).status === 200)
    const { access_token: token } = await api.tokens('ada', PASSWORD)
    t.equal(await api.isActive(token), true)
    // A backend that is told to end may be listed for a moment.
    await eventually(async () => {
      const isRenewed = String((await usersOf()).map(({ usename }) => usename)) === user
      if (!isRenewed && wasFileLate(log)) {
        await dropConnections()
        await api.login('ada', PASSWORD)
      }
      return isRenewed
    })
  }
  if (!wasFileLate(log)) t.notMatch(JSON.stringify(log), /WRONGPASS|password authentication failed/)

  // A file that names another database, or nothing, changes nothing.
  lease('lease2', 'third', 'other')
  const isRefused = () =>
    log.some(
      ({ msg, reason }) =>
        /DATABASE_URL_FILE has a fault/.test(String(msg)) && /another store: restart/.test(String(reason)),
    )
  // A backend that is told to end may still answer a sign-in, which then needs no new connection.
  await eventually(async () => {
    await dropConnections()
    await api.login('ada', PASSWORD)
    return isRefused()
  })
  await eventually(async () => (await api.login('ada', PASSWORD)).status === 200)
  // A line of the log may have the member `seconds`.
  t.notMatch(JSON.stringify(log), /\b(first|second|third)\b/)
})

test('a new connection to Redis waits for a file that is read slowly', async (t) => {
  const redis = await redisOf(t, ['--requirepass', 'first'])
  let [inFile, known, reading] = ['first', 'first', 0]
  const followed = {
    current: () => [redis.url.replace('//', `//:${known}@`)] as [string],
    readTimeout: 100,
    async read() {
      reading += 1
      await sleep(80)
      known = inFile
      reading -= 1
    },
  }
  const errors: string[] = []
  const location = { mode: 'single', urls: followed.current(), followed } as const
  const client = connectRedis(location, ({ message }) => errors.push(message))
  t.teardown(() => client.disconnect())
  await eventually(() => client.status === 'ready' && reading === 0)
  const admin = new Redis({ port: redis.port, password: 'first' })
  t.teardown(() => admin.disconnect())

  await admin.config('SET', 'requirepass', 'second')
  inFile = 'second'
  await admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')

  await eventually(() => client.status !== 'ready')
  await eventually(() => client.status === 'ready')
  t.strictSame(errors, [])
})

test('O6: a disk that hangs under the credentials stops nothing: new connections use the last ones', async (t) => {
  const postgres = await startPostgres({ durable: false })
  t.teardown(() => postgres.stop())
  const redis = await redisOf(t, ['--requirepass', 'first'])
  const folder = temporaryFolder(t)
  const [databaseFile, redisFile, pipe] = ['database', 'redis', 'pipe'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ]
  writeFileSync(databaseFile, postgres.url)
  writeFileSync(redisFile, redis.url.replace('//', '//:first@'))
  const { DATABASE_URL: _, ...env } = await environment(t, 'sqlite')
  const service = await spawnService(t, { ...env, DATABASE_URL_FILE: databaseFile, REDIS_URL_FILE: redisFile })
  const { api } = service
  await api.signUp('ada', PASSWORD)

  // Nobody writes to this pipe, so each read of it takes a thread until the end of the test.
  execFileSync('mkfifo', [pipe])
  for (const file of [databaseFile, redisFile]) {
    execFileSync('ln', ['-f', pipe, `${file}.new`])
    renameSync(`${file}.new`, file)
  }
  t.teardown(() => closeSync(openSync(pipe, 'r+')))
  const admin = new pg.Client({ connectionString: postgres.url })
  await admin.connect()
  t.teardown(() => admin.end())
  const cache = new Redis({ port: redis.port, password: 'first' })
  t.teardown(() => cache.disconnect())
  for (let round = 0; round < 3; round += 1) {
    await admin.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'latchkey'")
    await cache.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
    const live = await fetch(`${service.managementUrl}/livez`, { signal: AbortSignal.timeout(10_000) })
    t.equal(live.status, 200, 'the event loop runs')
    await eventually(async () => (await api.login('ada', PASSWORD)).status === 200)
  }
  t.match(service.output(), /the file could not be read within 100 ms.*DATABASE_URL_FILE has a fault/)
})

/** The servers of a mode, the sentinels among them, and its settings. */
const modes = {
  sentinel: async (t: Test) => {
    const { servers, sentinels, environment } = await startSentinels(t, { replicas: 1 })
    return { servers: [...servers, ...sentinels], environment }
  },
  cluster: async (t: Test) => {
    const { nodes, environment } = await startRedisCluster(t, 0)
    return { servers: nodes, environment }
  },
}

for (const [mode, start] of Object.entries(modes)) {
  test(`O6: ${mode}: each new connection to every node has the rotated password of REDIS_URL_FILE`, async (t) => {
    const { servers, environment: settings } = await start(t)
    const admins = servers.map(({ url }) => new Redis(url))
    t.teardown(() => {
      for (const admin of admins) admin.disconnect()
    })
    const setPasswords = (...passwords: string[]) =>
      Promise.all(
        admins.map((admin) =>
          admin.acl('SETUSER', 'latchkey', 'reset', 'on', ...passwords.map((each) => `>${each}`), '~*', '&*', '+@all'),
        ),
      )
    const file = join(temporaryFolder(t), 'redis')
    const write = (password: string) =>
      writeFileSync(file, settings.REDIS_URL.replaceAll('redis://', `redis://latchkey:${password}@`))
    await setPasswords('first')
    write('first')
    const { REDIS_URL: _, ...others } = settings
    const env = { ...(await environment(t, 'sqlite')), ...others, REDIS_URL_FILE: file }
    const { api, log } = await startReady(t, env)
    await api.signUp('ada', PASSWORD)
    for (const [old, password] of [
      ['first', 'second'],
      ['second', 'third'],
    ] as const) {
      // The client may connect at any moment, so the old password counts until the file has the new one.
      await setPasswords(old, password)
      write(password)
      await setPasswords(password)
      for (const admin of admins) await admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
      // Sessions of several people are on several nodes of the cluster.
      for (const name of ['ada', 'eve', 'bob', 'zoe']) {
        await api.signUp(name, PASSWORD)
        await eventually(async () => (await api.login(name, PASSWORD)).status === 200)
      }
    }
    t.notMatch(JSON.stringify(log), /\b(first|second|third)\b/)
    if (!wasFileLate(log)) t.notMatch(JSON.stringify(log), /WRONGPASS/)
  })
}
