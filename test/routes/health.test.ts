import { Redis } from 'ioredis'
import { test } from 'tap'
import { eventually } from '../support/eventually.js'
import { freePort } from '../support/servers/ports.js'
import { createPostgresDatabase } from '../support/servers/postgres.js'
import { startRedis } from '../support/servers/redis.js'
import { startReplica } from '../support/servers/redis-sentinel.js'
import { startTcpProxy } from '../support/servers/tcp-proxy.js'
import { environment, PASSWORD, redisOf, startService, startServiceWith, stores } from '../support/service.js'

async function health(managementUrl: string, path: string) {
  const answer = await fetch(managementUrl + path)
  return { status: answer.status, retryAfter: answer.headers.get('retry-after'), body: await answer.json() }
}

const untilHealthy = (managementUrl: string) =>
  eventually(async () => (await health(managementUrl, '/readyz')).status === 200)

for (const store of stores) {
  test(`${store}: a service is live, and ready only with all of its stores`, async (t) => {
    const { managementUrl } = await startService(t, store)
    t.strictSame((await health(managementUrl, '/livez')).body, { status: 'ok' })
    t.match(await health(managementUrl, '/readyz'), {
      status: 200,
      body: { status: 'ok', checks: { database: 'ok', ...(store === 'redis' && { redis: 'ok' }) } },
    })
  })
}

test('F15: without Postgres the service is not ready, unless the probe excludes the database; introspection goes on', async (t) => {
  const { url, drop } = await createPostgresDatabase()
  t.teardown(drop)
  const { port } = new URL(url)
  const proxy = await startTcpProxy(Number(port))
  t.teardown(() => proxy.stop())
  const redis = await redisOf(t)
  const DATABASE_URL = url.replace(port, String(proxy.port))
  const { api, managementUrl } = await startService(t, 'sqlite', { DATABASE_URL, REDIS_URL: redis.url })
  await api.signUp('ada', PASSWORD)
  const { access_token: token } = await api.tokens('ada', PASSWORD)
  t.equal(await api.isActive(token), true)

  proxy.cut()

  t.match(await health(managementUrl, '/readyz'), {
    status: 503,
    retryAfter: '1',
    body: { error: 'temporarily_unavailable', error_description: /checks/, checks: { redis: 'ok' } },
  })
  const rest = await health(managementUrl, '/readyz?exclude=database')
  t.match(rest, { status: 200, body: { status: 'ok', checks: { redis: 'ok' } } })
  t.strictSame(Object.keys((rest.body as { checks: object }).checks), ['redis'])
  t.equal(await api.isActive(token), true)
  t.equal((await health(managementUrl, '/readyz?exclude=database&exclude=redis')).status, 200)
})

test('only the management port has the health endpoints, and it has no other', async (t) => {
  const { api, managementUrl } = await startService(t, 'sqlite')
  for (const path of ['/livez', '/readyz']) t.equal((await api.call(path)).status, 404)
  t.equal((await fetch(`${managementUrl}/login`, { method: 'POST' })).status, 404)
})

test('F1: the service starts without Redis, is live and not ready, and recovers after Redis starts', async (t) => {
  const port = await freePort()
  const env = await environment(t, 'sqlite', { REDIS_URL: `redis://127.0.0.1:${port}` })
  const { api, once, managementUrl } = await startServiceWith(t, env)
  t.equal((await health(managementUrl, '/livez')).status, 200)
  t.match(await health(managementUrl, '/readyz'), {
    status: 503,
    retryAfter: '1',
    body: { status: 'unavailable', checks: { database: 'ok', redis: /^Redis failed: / } },
  })
  // Sign-ups and sign-ins are counted in Redis.
  for (const path of ['/users', '/login']) {
    t.match(await once.call(path, { json: { username: 'ada', password: PASSWORD } }), {
      status: 503,
      headers: { 'retry-after': '1' },
      body: { error: 'temporarily_unavailable' },
    })
  }

  const redis = await startRedis({ port })
  t.teardown(() => redis.stop())
  await untilHealthy(managementUrl)
  t.equal((await api.signUp('ada', PASSWORD)).status, 201)
  t.equal((await api.login('ada', PASSWORD)).status, 200)
})

test('when Redis dies, the service is live and not ready, gives no answer about tokens, and recovers alone', async (t) => {
  const redis = await redisOf(t)
  const { api, once, managementUrl } = await startService(t, 'sqlite', { REDIS_URL: redis.url })
  await api.signUp('ada', PASSWORD)
  const { access_token: token } = await api.tokens('ada', PASSWORD)

  await redis.stop()
  t.equal((await health(managementUrl, '/livez')).status, 200)
  t.match(await health(managementUrl, '/readyz'), { status: 503, body: { status: 'unavailable' } })
  t.equal((await once.introspect(token)).status, 503)

  const again = await startRedis({ port: redis.port })
  t.teardown(() => again.stop())
  await untilHealthy(managementUrl)
  // Redis came back empty, so all sessions have ended.
  t.equal(await api.isActive(token), false)
  t.equal((await api.login('ada', PASSWORD)).status, 200)
})

test('F7: a Redis that evicts keys causes an error in the log, and the service is not ready', async (t) => {
  const redis = await redisOf(t, ['--maxmemory-policy', 'allkeys-lru'])
  const env = await environment(t, 'sqlite', { REDIS_URL: redis.url })
  const { managementUrl, log } = await startServiceWith(t, env)

  const saysSo = /maxmemory-policy is allkeys-lru, and must be noeviction/
  t.equal(await told(log, saysSo), true, 'in the log, as an error')
  t.match(await health(managementUrl, '/readyz'), { status: 503, body: { checks: { redis: saysSo } } })

  const admin = new Redis(redis.url)
  t.teardown(() => admin.disconnect())
  await admin.config('SET', 'maxmemory-policy', 'noeviction')
  t.equal((await health(managementUrl, '/readyz')).status, 200)
  await admin.config('SET', 'maxmemory-policy', 'volatile-ttl')
  t.equal((await health(managementUrl, '/readyz')).status, 503, 'set while it runs, likewise')
})

test('F7: when the ACL forbids the check, the service trusts the operator', async (t) => {
  const redis = await redisOf(t, ['--maxmemory-policy', 'allkeys-lru'])
  const admin = new Redis(redis.url)
  t.teardown(() => admin.disconnect())
  await admin.acl('SETUSER', 'latchkey', 'on', '>pw', '~*', '+@all', '-info')
  const { managementUrl } = await startService(t, 'sqlite', { REDIS_URL: redis.url.replace('//', '//latchkey:pw@') })
  t.equal((await health(managementUrl, '/readyz')).status, 200)
})

test('a replica instead of a primary: the service is not ready, and says why', async (t) => {
  const primary = await redisOf(t, ['--repl-diskless-sync-delay', '0'])
  const replica = await startReplica(t, primary)
  const { managementUrl } = await startServiceWith(t, await environment(t, 'sqlite', { REDIS_URL: replica.url }))
  await eventually(async () => /this Redis is a replica/.test(JSON.stringify(await health(managementUrl, '/readyz'))))
  t.equal((await health(managementUrl, '/readyz')).status, 503)
})

/** Whether an error with this text appears in the log soon. */
async function told(log: Record<string, unknown>[], text: RegExp): Promise<boolean> {
  await eventually(async () => log.some((line) => line.level === 50 && text.test(JSON.stringify(line))))
  return true
}
