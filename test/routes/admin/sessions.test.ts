import { test } from 'tap'
import { adminClient } from '../../support/admin-client.js'
import { expectEvents } from '../../support/audit-events.js'
import { PASSWORD, startService, stores } from '../../support/service.js'

const UNKNOWN = '00000000-0000-4000-8000-000000000000'

for (const store of stores) {
  test(`${store}: an administrator lists the sessions of a user, ends one, and ends all`, async (t) => {
    const { api, audited } = await startService(t, store)
    const admin = adminClient(api)
    const { id: ada } = (await api.signUp('ada', PASSWORD)).body
    const { id: bob } = (await api.signUp('bob', PASSWORD)).body
    const phone = await api.tokens('ada', PASSWORD, { device_name: 'phone', scope: 'todo:read' })
    const laptop = await api.tokens('ada', PASSWORD)
    const bobs = await api.tokens('bob', PASSWORD)

    const { status, headers, body } = await admin('GET', `/sessions?sub=${ada}`)
    t.equal(status, 200)
    t.equal(headers['cache-control'], 'no-store')
    const seen = body.sessions.find((session: { sid: string }) => session.sid === phone.sid)
    t.match(seen, {
      client_id: 'latchkey',
      scope: 'todo:read',
      device_name: 'phone',
      ip: '127.0.0.1',
      user_agent: null,
      created_at: Number,
      last_seen_at: Number,
      expires_at: Number,
    })
    t.strictSame(seen.roles, [])
    t.equal(body.sessions.length, 2)

    t.equal((await admin('DELETE', `/sessions/${bobs.sid}?sub=${ada}`)).status, 204)
    t.equal(await api.isActive(bobs.access_token), true, 'another user’s session is none of hers')
    t.equal((await admin('DELETE', `/sessions/${phone.sid}?sub=${ada}`)).status, 204)
    t.equal(await api.isActive(phone.access_token), false)
    t.equal((await api.refresh(phone.refresh_token)).status, 400)
    t.equal(await api.isActive(laptop.access_token), true)
    t.equal((await admin('DELETE', `/sessions/${phone.sid}?sub=${ada}`)).status, 204, 'also when repeated')
    const another = await api.tokens('ada', PASSWORD)
    t.equal((await admin('DELETE', `/sessions?sub=${ada}`)).status, 204)
    for (const { access_token } of [laptop, another]) t.equal(await api.isActive(access_token), false)
    t.equal(await api.isActive(bobs.access_token), true)
    t.strictSame((await admin('GET', `/sessions?sub=${ada}`)).body, { sessions: [] })

    // A session that had ended before writes no event.
    expectEvents(t, audited('session.ended'), [
      { sub: ada, sids: [phone.sid], reason: 'ended_by_admin', by: 'todo' },
      { sub: ada, reason: 'ended_by_admin' },
    ])
    t.not(bob, ada)
  })

  test(`${store}: the sub of sessions appears exactly once, and a list needs the sub of an account`, async (t) => {
    const { api } = await startService(t, store)
    const admin = adminClient(api)
    for (const [method, path, status] of [
      ['GET', '/sessions', 400],
      ['DELETE', '/sessions', 400],
      ['DELETE', '/sessions/9f8Hn1VnTz2cUWl0q3yJ8A', 400],
      ['GET', '/sessions?sub=', 400],
      ['GET', `/sessions?sub=${encodeURIComponent('x}:s:y')}`, 400],
      ['GET', `/sessions?sub=${UNKNOWN}&sub=${UNKNOWN}`, 400],
      ['GET', `/sessions?sub=${UNKNOWN}`, 404],
      ['DELETE', `/sessions?sub=${UNKNOWN}`, 204],
      ['DELETE', `/sessions/*?sub=${UNKNOWN}`, 400],
    ] as const) {
      t.equal((await admin(method, path)).status, status, `${method} ${path}`)
    }
  })
}
