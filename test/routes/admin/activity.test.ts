import { test } from 'tap'
import { adminClient } from '../../support/admin-client.js'
import type { Answer } from '../../support/api.js'
import { eventually } from '../../support/eventually.js'
import { JWT_SECRET, PASSWORD, REFRESH_SECRET, startService, stores } from '../../support/service.js'

test('GET /admin/activity: filters by the begin of the event, by account and by number, the newest first', async (t) => {
  const { api } = await startService(t, 'sqlite')
  const admin = adminClient(api)
  const ids: string[] = []
  for (const username of ['ada', 'grace']) {
    ids.push((await admin('POST', '/users', { json: { username, password: PASSWORD } })).body.id)
  }
  const [ada, grace] = ids as [string, string]
  await api.tokens('ada', PASSWORD)
  await api.login('ada', 'wrong')
  const { access_token: bearer } = await api.tokens('grace', PASSWORD)
  await api.logout(bearer)
  const list = async (query: string) => (await admin('GET', `/activity${query}`)).body.events
  const names = async (query: string) => (await list(query)).map(({ event }: { event: string }) => event)

  t.strictSame(await names(''), [
    'session.ended',
    'login.accepted',
    'login.refused',
    'login.accepted',
    'user.created',
    'user.created',
  ])
  t.strictSame(await names('?event=login.'), ['login.accepted', 'login.refused', 'login.accepted'])
  t.strictSame(await names(`?sub=${ada}`), ['login.refused', 'login.accepted', 'user.created'])
  t.strictSame(await names(`?event=login.refused&sub=${ada}`), ['login.refused'])
  t.strictSame(await names(`?event=login.refused&sub=${grace}`), [])
  t.strictSame(await names('?sub=todo'), ['user.created', 'user.created'], 'also what an administrator did')
  t.strictSame(await names('?limit=2'), ['session.ended', 'login.accepted'])
  t.match((await list('?event=login.refused'))[0], {
    time: /^\d{4}-\d\d-\d\dT[\d:.]+Z$/,
    sub: ada,
    reason: 'wrong_password',
    ip: '127.0.0.1',
    reqId: String,
  })
  for (const query of [
    '?limit=0',
    '?limit=1001',
    '?limit=x',
    '?event=',
    '?sub=',
    '?kind=login',
    `?sub=${'x'.repeat(65)}`,
  ]) {
    t.match(await admin('GET', `/activity${query}`), { status: 400, body: { error: 'invalid_request' } }, query)
  }
  t.equal((await admin('GET', '/activity')).headers['cache-control'], 'no-store')
  t.notMatch((await admin('GET', '/activity')).text, new RegExp(`${PASSWORD}|${bearer}`), 'no secret is in it')
})

for (const store of stores) {
  test(`${store}: GET /admin/now has what is true of the store, and GET /admin/keys has no secret`, async (t) => {
    const { api } = await startService(t, store)
    const admin = adminClient(api)
    await api.signUp('ada', PASSWORD)
    await api.tokens('ada', PASSWORD)
    const read = () => admin('GET', '/now')
    // Only Redis has a heartbeat. The database writes its feed when it deletes a session, so the feed has no age.
    const isTrue = ({ body }: Answer) => typeof body.feed_age_ms === (store === 'redis' ? 'number' : 'object')
    await eventually(async () => isTrue(await read()))
    const { body, headers } = await read()
    t.equal(headers['cache-control'], 'no-store')
    t.match(body, { live_sessions: 1, checks: { database: 'ok' }, started_at: Number, version: String })
    t.equal('redis' in body.checks, store === 'redis')
    t.equal(body.minutes.length, 60)
    t.equal(body.minutes.at(-1).sign_ins + body.minutes.at(-2).sign_ins, 1)

    const keys = await admin('GET', '/keys')
    t.match(keys.body, { source: 'JWT_SECRET', mode: 'shared', keys: [{ alg: 'HS256', signs: true, is_shared: true }] })
    t.equal(keys.body.keys.length, 1)
    for (const secret of [JWT_SECRET, REFRESH_SECRET]) t.notOk(keys.text.includes(secret))
  })
}
