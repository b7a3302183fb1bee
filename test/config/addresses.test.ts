import { createConnection, createServer } from 'node:net'
import { join } from 'node:path'
import { test } from 'tap'
import { ConfigError, readConfig } from '../../src/config/read.js'
import { eventually } from '../support/eventually.js'
import { latchkey } from '../support/latchkey.js'
import { createPostgresDatabase } from '../support/servers/postgres.js'
import { startTcpProxy } from '../support/servers/tcp-proxy.js'
import {
  environment,
  JWT_SECRET,
  PASSWORD,
  REFRESH_SECRET,
  redisOf,
  startReady,
  startServiceWith,
  temporaryFolder,
} from '../support/service.js'

const SECRETS = { JWT_SECRET, REFRESH_SECRET, BOOTSTRAP_CLIENT: 'todo:u5Ty8Rk2-Xn4Vd7Gq0Jw3Lb6Zs9Hc1Fm5P' }

function faultOf(name: string, value: string): string {
  try {
    readConfig({ ...SECRETS, [name]: value })
    return ''
  } catch (error) {
    if (error instanceof ConfigError) return error.faults.join('\n')
    throw error
  }
}

const NOT_READ = /the address cannot be read/
const HASH = /a # in the user name or the password must be written as %23$/
const PERCENT = /a % in the user name or the password must be written as %25$/
const SLASH = /in the user name and the password, \/ must be written as %2F, \? as %3F, and @ as %40$/
const NO_EFFECT = /would have no effect: remove it. These parameters have an effect: host, port, .*sslmode/

test('a store address that a client would misread is a fault that says what to write and repeats no part of the address', (t) => {
  const rows: [string, string, RegExp][] = [
    ['DATABASE_URL', 'postgres://ada:Zq7#canary@db/latchkey', HASH],
    ['DATABASE_URL', 'postgres://ada:77#canary@db/latchkey', HASH],
    ['DATABASE_URL', 'postgres://ada:Zq7%canary@db/latchkey', PERCENT],
    ['DATABASE_URL', 'postgres://ada:%40Zq7%@db/latchkey', PERCENT],
    ['DATABASE_URL', 'postgres://ada:Zq7%ffcanary@db/latchkey', PERCENT],
    ['DATABASE_URL', 'postgres://ada:Zq7/canary@db/latchkey', SLASH],
    ['DATABASE_URL', 'postgres://ada:77/canary@db/latchkey', SLASH],
    ['DATABASE_URL', 'postgres://ada:77?canary@db/latchkey', SLASH],
    ['DATABASE_URL', 'postgres://ada:Zq7 canary@db/latchkey', /white space must be written as %20/],
    ['DATABASE_URL', 'postgres://ada:Zq7canary@db:99999/latchkey', NOT_READ],
    ['DATABASE_URL', 'postgres://ada:Zq7canary@one,,two/latchkey', /names an empty host/],
    ['DATABASE_URL', 'postgres://ada:Zq7canary@one,two:99999/latchkey', NOT_READ],
    ['DATABASE_URL', 'postgres://ada:77,Zq7/canary@db/latchkey', SLASH],
    ['DATABASE_URL', 'postgres:///latchkey?host=one,', /names an empty host/],
    ['DATABASE_URL', 'postgres:///latchkey?host=one,two&port=1,2,3', /port must have one number, or one for each host/],
    ['DATABASE_URL', 'postgres://one,two/latchkey?target_session_attrs=any', /must be one of: read-write, primary/],
    ['DATABASE_URL', 'postgres://db/latchkey?pgbouncer=false', /the parameter pgbouncer must be/],
    ['DATABASE_URL', 'tcp://10.0.0.1:5432', /the link of a Kubernetes service: write postgres:/],
    ['DATABASE_URL', 'postgres://one/latchkey?host=two', /names a host twice/],
    ['DATABASE_URL', 'postgres://db/latchkey?sslmode=verify_full', /sslmode must be one of: disable, .*verify-full/],
    ['DATABASE_URL', 'postgres://db/latchkey?sslmode=', /sslmode must be one of/],
    ['DATABASE_URL', 'postgres://db/latchkey?sslmode=require&sslmode=disable', /sslmode is given twice/],
    ['DATABASE_URL', 'postgres://db/latchkey?ssl=yes', /the parameter ssl must be one of/],
    ['DATABASE_URL', 'postgres://db/latchkey?port=many', /the parameter port must be a number/],
    ['DATABASE_URL', 'postgres://db/latchkey?SSLMODE=require', /the parameter SSLMODE would/],
    ['DATABASE_URL', 'postgres://db/latchkey?schema=auth', /write options=-c%20search_path%3DSCHEMA instead/],
    ['DATABASE_URL', 'postgres://db/latchkey?currentSchema=auth', /write options=-c%20search_path%3DSCHEMA instead/],
    ['DATABASE_URL', 'postgres://db/latchkey?connect_timeout=10', NO_EFFECT],
    ['DATABASE_URL', 'postgres://db/latchkey?channel_binding=require', NO_EFFECT],
    ['DATABASE_URL', 'postgres://db/latchkey?statement_timeout=0', NO_EFFECT],
    ['DATABASE_URL', 'postgres://db/latchkey?Zq7-canary', /: a parameter would have no effect/],
    ['DATABASE_URL', 'postgres://db/latchkey?constructor=1', NO_EFFECT],
    ['REDIS_URL', 'redis://:Zq7#canary@cache', HASH],
    ['REDIS_URL', 'redis://ada:77#canary@cache', HASH],
    ['REDIS_URL', 'redis://:Zq7%canary@cache', PERCENT],
    ['REDIS_URL', 'redis://:Zq7/canary@cache', SLASH],
    ['REDIS_URL', 'redis://ada:77?canary@cache', SLASH],
    ['REDIS_URL', 'redis://:Zq7,canary@cache', /a comma .* write %2C/],
    ['REDIS_URL', 'redis://cache?db=2', /takes no parameters/],
    ['REDIS_URL', 'redis://:Zq7canary@cache:99999', NOT_READ],
    ['REDIS_URL', 'tcp://10.0.0.1:6379', /the link of a Kubernetes service: write redis:/],
    ['REDIS_URL', 'unix://run/redis.sock', /after three slashes/],
    ['REDIS_URL', 'unix://:Zq7canary@cache/redis.sock', /after three slashes/],
    ['REDIS_URL', 'unix://:Zq7#canary@/run/redis.sock', HASH],
    ['REDIS_URL', 'unix:///run/redis.sock?db=one', /only the parameter db/],
    ['REDIS_URL', 'unix:///run/redis.sock?db=1&password=Zq7canary', /only the parameter db/],
    ['ISSUER', 'https://ada:Zq7canary@auth.example.com', /must have no user name and no password/],
    ['ISSUER', 'https://auth.example.com/a b', /must have no white space/],
    ['ISSUER', 'https://auth.example.com/%E0', /a % must be written as %25/],
    ['ISSUER', 'https://auth.example.com/50%', /a % must be written as %25/],
    ['OTEL_EXPORTER_OTLP_ENDPOINT', 'http://collector:4318/?token=Zq7canary', /must have no query/],
    ['OTEL_EXPORTER_OTLP_ENDPOINT', 'http://ada:Zq7canary@collector:4318', /must have no user name/],
  ]
  for (const [name, value, fault] of rows) {
    const told = faultOf(name, value)
    t.match(told, fault, value)
    t.match(told, new RegExp(`^${name}: `))
    t.notMatch(told, /Zq7|canary|77/)
  }
  t.end()
})

test('a store address in the form that its client reads is accepted', (t) => {
  const rows = [
    ['DATABASE_URL', 'postgres://ada:Zq7%23%25%2F%3F%40%2Ccanary@db:5432/latchkey'],
    ['DATABASE_URL', 'postgres://ada:Zq7@canary@db/latchkey'],
    ['DATABASE_URL', 'postgresql://ada@[::1]:5432/latchkey'],
    ['DATABASE_URL', 'postgres:///latchkey?host=/var/run/postgresql'],
    ['DATABASE_URL', 'postgres://ada:Zq7canary@/latchkey?host=/var/run/postgresql&port=5433'],
    ['DATABASE_URL', 'postgres://%2Fvar%2Frun%2Fpostgresql/latchkey'],
    ['DATABASE_URL', 'postgres://db/latchkey?sslmode=verify-full&sslrootcert=/etc/ssl/db.pem&application_name=auth'],
    ['DATABASE_URL', 'postgres://db/latchkey?sslmode=require&uselibpqcompat=true&options=-c%20search_path%3Dauth'],
    ['REDIS_URL', 'redis://ada:Zq7%23%25%2F%3F%40%2Ccanary@cache:6379/1'],
    ['REDIS_URL', 'rediss://[::1]'],
    ['REDIS_URL', 'unix:///run/redis/redis.sock'],
    ['REDIS_URL', 'unix://ada:Zq7%23@/run/redis.sock?db=2'],
    ['DATABASE_URL', 'postgres://ada:Zq7canary@one:5432,two,[::1]:5433/latchkey?target_session_attrs=read-write'],
    ['DATABASE_URL', 'postgres://ada@/latchkey?host=one,two&port=5432,5433&target_session_attrs=primary'],
    ['DATABASE_URL', 'postgres://db/latchkey?pgbouncer=true'],
    ['OTEL_EXPORTER_OTLP_ENDPOINT', 'http://collector:4318'],
  ] as const
  for (const [name, value] of rows) t.equal(faultOf(name, value), '', value)
  t.end()
})

test('the service connects to a Postgres socket by its folder, in each form of libpq', async (t) => {
  const { url, drop } = await createPostgresDatabase()
  t.teardown(drop)
  const { username, hostname, port, pathname } = new URL(url)
  const folder = temporaryFolder(t)
  // The Postgres of the tests has no Unix socket. This socket forwards to its port.
  const socket = createServer((client) => {
    const server = createConnection(Number(port), hostname)
    client.pipe(server).pipe(client)
    for (const side of [client, server]) side.on('error', () => side.destroy())
  })
  await new Promise<void>((resolve) => socket.listen(join(folder, '.s.PGSQL.5432'), resolve))
  t.teardown(() => socket.close())

  const encoded = encodeURIComponent(folder)
  for (const [index, DATABASE_URL] of [
    `postgres://${pathname}?host=${folder}&user=${username}`,
    `postgres://${username}@${pathname}?host=${encoded}`,
    `postgres://${username}:Zq7%23%25@${encoded}${pathname}`,
  ].entries()) {
    const env = { ...(await environment(t, 'sqlite')), DATABASE_URL }
    const service = await startServiceWith(t, env)
    t.equal((await service.api.signUp(`ada${index}`, PASSWORD)).status, 201, DATABASE_URL)
    await service.close()
  }
})

test('a Redis before 7.0 makes the service not ready, and one line names the version', async (t) => {
  const { port } = await redisOf(t)
  const old = await startTcpProxy(port)
  t.teardown(() => old.stop())
  const info = 'redis_version:6.2.14\r\nrole:master\r\n'
  old.answer(`$${info.length}\r\n${info}\r\n`)
  const env = { ...(await environment(t, 'sqlite')), REDIS_URL: `redis://127.0.0.1:${old.port}` }
  const { log, managementUrl } = await startServiceWith(t, env)
  await eventually(() =>
    log.some(({ fault }) => /this Redis has version 6\.2\.14: sessions need Redis 7/.test(String(fault))),
  )
  t.equal((await fetch(`${managementUrl}/readyz`)).status, 503)
})

test('the service and the command line connect to a Redis socket, with a password and a database', async (t) => {
  const socket = join(temporaryFolder(t), 'redis.sock')
  await redisOf(t, ['--unixsocket', socket, '--requirepass', 'p#ss'])
  const REDIS_URL = `unix://:p%23ss@${socket}?db=2`
  const env = { ...(await environment(t, 'sqlite')), REDIS_URL }
  const { api } = await startReady(t, env)
  await api.signUp('ada', PASSWORD)
  const { sid } = await api.tokens('ada', PASSWORD)
  const listed = await latchkey(['sessions', 'list', 'ada', '--json'], env)
  t.match(listed.json, { sessions: [{ sid }] }, listed.stderr)

  const wrong = await latchkey(['sessions', 'list', 'ada'], { ...env, REDIS_URL: `unix://:p%23ss@${socket}?db=3` })
  t.match(wrong, { code: 1, stderr: /the sessions are in .*unix:\/\/\/.*db=2/ })
  t.notMatch(wrong.stderr, /p#ss|p%23ss/)
  t.match(faultOf('REDIS_URL', REDIS_URL), '')
  t.throws(() => readConfig({ ...SECRETS, REDIS_URL, REDIS_MODE: 'cluster' }), {
    message: /a socket is a single Redis/,
  })
})
