import { createVerifier } from '@latchkey/verifier'
import { Cluster, Redis } from 'ioredis'
import { type Test, test } from 'tap'
import { readPage } from '../pages.js'
import { eventually } from '../support/eventually.js'
import { startRedis } from '../support/servers/redis.js'
import { startRedisCluster } from '../support/servers/redis-cluster.js'
import { startSentinels } from '../support/servers/redis-sentinel.js'
import { type Environment, ISSUER, JWT_SECRET, PASSWORD, startService } from '../support/service.js'
import { scaledLimit } from '../support/time-limits.js'
import { untilVerifierReady, verdictOnce } from '../support/verifier-setup.js'

/** Each way to run Redis, with the client that a service with a verifier would create. */
const modes: Record<string, (t: Test) => Promise<{ env: Environment; client: () => Redis | Cluster }>> = {
  'single, with an ACL user, a password of odd characters and a database': async (t) => {
    const redis = await startRedis()
    t.teardown(() => redis.stop())
    const admin = new Redis(redis.url)
    const [, rules = ''] = readPage('docs/operate.md').match(/An ACL user needs `(.+?)`/s) ?? []
    await admin.acl('SETUSER', 'latchkey', 'on', '>p@ss:w,rd', ...rules.split(/\s+/))
    await admin.acl('SETUSER', 'default', 'off')
    admin.disconnect()
    const url = `redis://latchkey:p%40ss%3Aw%2Crd@127.0.0.1:${redis.port}/3`
    return { env: { REDIS_URL: url }, client: () => new Redis(url) }
  },
  sentinel: async (t) => {
    const { sentinels, environment } = await startSentinels(t, { replicas: 1 })
    return {
      env: { ...environment, REDIS_WAIT_REPLICAS: '1' },
      client: () =>
        new Redis({ sentinels: sentinels.map(({ port }) => ({ host: '127.0.0.1', port })), name: 'latchkey' }),
    }
  },
  'sentinel, with passwords of their own': async (t) => {
    const { sentinels, servers, environment } = await startSentinels(t, { replicas: 1 })
    for (const [all, password] of [
      [sentinels, 'sentinels-own'],
      [servers, 'the-data'],
    ] as const) {
      for (const { url } of all) {
        const admin = new Redis(url)
        await admin.acl('SETUSER', 'latchkey', 'on', `>${password}`, '~*', '&*', '+@all')
        admin.disconnect()
      }
    }
    const urls = sentinels.map(({ port }) => `redis://latchkey:sentinels-own@127.0.0.1:${port}`)
    return {
      env: { ...environment, REDIS_URL: urls.join(','), REDIS_SENTINEL_MASTER: 'latchkey:the-data@latchkey' },
      client: () =>
        new Redis({ sentinels: sentinels.map(({ port }) => ({ host: '127.0.0.1', port })), name: 'latchkey' }),
    }
  },
  cluster: async (t) => {
    const { nodes, environment } = await startRedisCluster(t, 0)
    return { env: environment, client: () => new Cluster(nodes.map(({ port }) => ({ host: '127.0.0.1', port }))) }
  },
  'cluster, with replicas that are waited for, and one node named': async (t) => {
    const { nodes, environment } = await startRedisCluster(t)
    const env = { ...environment, REDIS_URL: nodes[0]?.url as string, REDIS_WAIT_REPLICAS: '1' }
    return { env, client: () => new Cluster(nodes.map(({ port }) => ({ host: '127.0.0.1', port }))) }
  },
}

for (const [mode, start] of Object.entries(modes)) {
  test(`${mode}: sessions work from sign-in to sign-out, and verifiers look up and follow`, async (t) => {
    const { env, client } = await start(t)
    const { api, managementUrl } = await startService(t, 'sqlite', env)
    t.match(await (await fetch(`${managementUrl}/readyz`)).json(), { status: 'ok', checks: { redis: 'ok' } })
    const names = Array.from({ length: 6 }, (_, i) => `ada-${i}`)
    for (const name of names) t.equal((await api.signUp(name, PASSWORD)).status, 201)
    t.equal((await api.login('ada-0', 'a wrong password, long enough')).status, 401)

    const redis = client()
    t.teardown(() => redis.disconnect())
    const verifiers = await Promise.all(
      (['lookup', 'follow'] as const).map(async (mode) => {
        const verifier = createVerifier({
          issuer: ISSUER,
          audience: ISSUER,
          keys: { secrets: [JWT_SECRET] },
          revocation: { mode, redis },
        })
        t.teardown(() => verifier.close())
        await untilVerifierReady(verifier)
        return verifier
      }),
    )

    // The users are in several slots.
    const first = await Promise.all(names.map((name) => api.tokens(name, PASSWORD)))
    const second = await Promise.all(names.map((name) => api.tokens(name, PASSWORD)))
    const all = [...first, ...second].map(({ access_token }) => access_token)
    t.strictSame(new Set(await Promise.all(all.map((token) => api.isActive(token)))), new Set([true]))
    for (const verifier of verifiers)
      await eventually(async () => (await verdictOnce(verifier, all[0] as string)) === 'good')
    t.match(await (await fetch(`${managementUrl}/metrics`)).text(), /^latchkey_sessions_live \d/m)

    // On a busy machine a store or a replica may be late, and the answer is 503.
    for (const { refresh_token } of first)
      t.equal((await api.call('/refresh', { json: { refresh_token } })).status, 200)
    for (const { access_token: bearer } of first) {
      t.equal((await api.call('/logout', { method: 'POST', bearer })).status, 204)
    }
    for (const { access_token: bearer } of second) {
      t.equal((await api.call('/sessions', { bearer })).body.sessions.length, 1)
      t.equal((await api.call('/logout-all', { method: 'POST', bearer })).status, 204)
    }

    t.strictSame(new Set(await Promise.all(all.map((token) => api.isActive(token)))), new Set([false]))
    for (const verifier of verifiers) {
      for (const token of all) {
        await eventually(async () => (await verdictOnce(verifier, token)) !== 'good', scaledLimit(2000))
      }
    }
  })
}
