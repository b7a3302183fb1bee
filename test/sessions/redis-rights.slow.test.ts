import { Redis } from 'ioredis'
import { type Test, test } from 'tap'
import { readPage } from '../pages.js'
import { eventually } from '../support/eventually.js'
import { enrolTotp, loginMfa, mfaToken } from '../support/factors.js'
import { startRedisCluster } from '../support/servers/redis-cluster.js'
import { environment, PASSWORD, redisOf, startReady } from '../support/service.js'

/** The rights that the page for operators names: those of one Redis, and what a cluster needs besides. */
const [, own = '', ofCluster = ''] =
  /An ACL user needs `([^`]+)`\. In a cluster add\s+`([^`]+)`/.exec(readPage('docs/operate.md')) ?? []

const modes = {
  single: async (t: Test) => {
    const { url } = await redisOf(t)
    return { urls: [url], settings: { REDIS_URL: url }, rights: own }
  },
  cluster: async (t: Test) => {
    const { nodes, environment: settings } = await startRedisCluster(t, 0)
    return { urls: nodes.map(({ url }) => url), settings, rights: `${own} ${ofCluster}` }
  },
}

for (const [mode, start] of Object.entries(modes)) {
  test(`${mode}: the service needs no more rights in Redis than the page for operators names`, async (t) => {
    t.ok(own && ofCluster, 'the page names the rights')
    const { urls, settings, rights } = await start(t)
    for (const url of urls) {
      const admin = new Redis(url)
      t.teardown(() => admin.disconnect())
      await admin.acl('SETUSER', 'latchkey', 'reset', 'on', '>secret', ...rights.split(/\s+/))
    }
    const { DATABASE_URL, ...env } = await environment(t, 'sqlite')
    const url = settings.REDIS_URL.replaceAll('redis://', 'redis://latchkey:secret@')
    const service = await startReady(t, { DATABASE_URL: DATABASE_URL as string, ...env, ...settings, REDIS_URL: url })
    const { api } = service

    await api.signUp('ada', PASSWORD)
    t.equal((await api.login('ada', 'wrong')).status, 401)
    const tokens = await api.tokens('ada', PASSWORD)
    const { app } = await enrolTotp(api, tokens.access_token)
    const token = await mfaToken(api, 'ada')
    t.equal((await loginMfa(api, token, { totp: '000000' })).status, 401)
    t.equal((await loginMfa(api, token, { totp: await app.next() })).status, 200)
    const { body: refreshed } = await api.refresh(tokens.refresh_token)
    t.ok(await api.isActive(refreshed.access_token))
    t.equal((await api.call('/sessions', { bearer: refreshed.access_token })).body.sessions.length, 2)
    t.equal((await api.call('/logout-all', { method: 'POST', bearer: refreshed.access_token })).status, 204)
    await eventually(async () => !(await api.isActive(refreshed.access_token)))
    t.notMatch(JSON.stringify(service.log), /NOPERM|can't run this command|cannot hold sessions safely/)
  })
}
