import { mock } from 'node:test'
import { test } from 'tap'
import { eventually } from '../support/eventually.js'
import { freePort } from '../support/servers/ports.js'
import { startRedis } from '../support/servers/redis.js'
import { environment, spawnService, startServiceWith } from '../support/service.js'

test('a start logs one line with its version, stores, issuer, sign-up, keys and ports', async (t) => {
  const env = await environment(t, 'sqlite')
  const { output, api } = await spawnService(t, env)
  await eventually(() => /"started".*\n/.test(output()))
  const line = output()
    .split('\n')
    .find((each) => each.includes('"started"')) as string
  t.match(JSON.parse(line), {
    version: /^\d+\.\d+\.\d+/,
    database: env.DATABASE_URL,
    sessions: 'the database',
    issuer: env.ISSUER,
    signUp: 'open',
    port: Number(new URL(api.url).port),
    managementPort: Number,
    tls: false,
  })
  t.equal(JSON.parse(line).kids.length, 1)
  for (const secret of [env.JWT_SECRET, env.REFRESH_SECRET, env.DATA_SECRET]) t.notMatch(output(), secret as string)
  t.notMatch(output(), 'NOT FOR PRODUCTION')
})

test('O8: outside loopback a service that is not in production warns loudly, makes no admin client, and prints no secret', async (t) => {
  const { BOOTSTRAP_CLIENT: _, JWT_SECRET: __, ...env } = await environment(t, 'sqlite', { HOST: '0.0.0.0' })
  const { output, api } = await spawnService(t, env)
  await eventually(async () => output().includes('Latchkey runs at'))
  t.match(output(), /NOT FOR PRODUCTION: other machines can reach this service/)
  t.notMatch(output(), /secret [\w-]{20}|curl -u|A client for your services/)
  const body = new URLSearchParams({ token: 'x', client_id: 'demo', client_secret: 'x' })
  t.equal((await fetch(`${api.url}/introspect`, { method: 'POST', body })).status, 401)
})

test('an outage of Redis logs a line each minute, until Redis answers', async (t) => {
  const port = await freePort()
  const env = await environment(t, 'sqlite', { REDIS_URL: `redis://127.0.0.1:${port}` })
  // Bends the clock of everything that repeats. What the service waits for once goes on.
  mock.timers.enable({ apis: ['setInterval'] })
  t.teardown(() => mock.timers.reset())
  const { log } = await startServiceWith(t, env)
  const said = (text: RegExp) => log.filter(({ msg }) => text.test(String(msg)))
  await eventually(() => said(/connection to Redis failed/).length > 0)
  const repeated = /Redis still does not answer/
  mock.timers.tick(59_000)
  t.equal(said(repeated).length, 0)
  mock.timers.tick(1000)
  t.match(said(repeated), [{ level: 40, reason: /ECONNREFUSED/, seconds: Number }])
  mock.timers.tick(60_000)
  t.equal(said(repeated).length, 2)

  const redis = await startRedis({ port })
  t.teardown(() => redis.stop())
  await eventually(() => said(/Redis answers again/).length > 0)
  mock.timers.tick(180_000)
  t.equal(said(repeated).length, 2)
})

test('an outage of Redis logs a line when it begins and a line when it ends, in our words', async (t) => {
  const port = await freePort()
  const env = await environment(t, 'sqlite', { REDIS_URL: `redis://127.0.0.1:${port}` })
  const { log, managementUrl } = await startServiceWith(t, env)
  const said = (text: RegExp) => log.filter(({ msg }) => text.test(String(msg)))
  await eventually(async () => said(/connection to Redis failed/).length > 0)
  // Several attempts to reconnect fail meanwhile.
  await eventually(async () => (await fetch(`${managementUrl}/readyz`)).status === 503)
  const redis = await startRedis({ port })
  t.teardown(() => redis.stop())
  await eventually(async () => said(/Redis answers again/).length > 0)
  t.equal(said(/connection to Redis failed/).length, 1)
  t.match(said(/Redis answers again/), [{ seconds: Number }])

  await redis.stop()
  await eventually(async () => said(/connection to Redis failed/).length === 2)
})
