import { Redis } from 'ioredis'
import { t as file, test } from 'tap'
import { secondsNow } from '../support/assertions.js'
import { expectDead } from '../support/dead-tokens.js'
import { PASSWORD, type RunningService, startService, stores } from '../support/service.js'

for (const store of stores) {
  // One service for the tests that count no events. Each test has its own people.
  let started: Promise<RunningService> | undefined
  const shared = () => (started ??= startService(file, store, { REFRESH_TTL: '2d' }))

  test(`${store}: GET /sessions lists the user's own live sessions, the latest used first`, async (t) => {
    const { api } = await shared()
    await api.signUp('ada1', PASSWORD)
    await api.signUp('eve1', PASSWORD)
    const before = secondsNow()
    const phone = await api.tokens('ada1', PASSWORD, { device_name: 'phone' })
    const { body: laptop } = await api.call('/login', {
      json: { username: 'ada1', password: PASSWORD },
      headers: { 'user-agent': 'Mozilla/5.0 (laptop)' },
    })
    const gone = await api.tokens('ada1', PASSWORD)
    await api.logout(gone.access_token)
    await api.tokens('eve1', PASSWORD)
    await api.refresh(phone.refresh_token)

    const { status, headers, body } = await api.call('/sessions', { bearer: laptop.access_token })

    t.equal(status, 200)
    t.equal(headers['cache-control'], 'no-store')
    t.strictSame(Object.keys(body), ['sessions'])
    t.strictSame(
      body.sessions.map(({ sid, current, device_name, ip, user_agent }: Record<string, unknown>) => ({
        sid,
        current,
        device_name,
        ip,
        user_agent,
      })),
      [
        { sid: phone.sid, current: false, device_name: 'phone', ip: '127.0.0.1', user_agent: null },
        { sid: laptop.sid, current: true, device_name: null, ip: '127.0.0.1', user_agent: 'Mozilla/5.0 (laptop)' },
      ],
    )
    for (const session of body.sessions) {
      t.strictSame(Object.keys(session).length, 8)
      for (const time of ['created_at', 'last_seen_at', 'expires_at']) t.ok(Number.isInteger(session[time]), time)
      t.ok(session.created_at >= before && session.last_seen_at >= session.created_at)
      t.ok(Math.abs(session.expires_at - session.last_seen_at - 172_800) <= 1)
    }
  })

  test(`${store}: DELETE /sessions/:sid ends only that session, at once, and may be repeated`, async (t) => {
    const { api } = await shared()
    await api.signUp('ada2', PASSWORD)
    await api.signUp('eve2', PASSWORD)
    const phone = await api.tokens('ada2', PASSWORD)
    const laptop = await api.tokens('ada2', PASSWORD)
    const eve = await api.tokens('eve2', PASSWORD)

    for (const _ of ['ends it', 'has ended']) {
      const { status, text } = await api.call(`/sessions/${phone.sid}`, {
        method: 'DELETE',
        bearer: laptop.access_token,
      })
      t.match({ status, text }, { status: 204, text: '' })
    }
    await expectDead(t, api, phone)
    t.equal(await api.isActive(laptop.access_token), true)

    const own = await api.call(`/sessions/${laptop.sid}`, { method: 'DELETE', bearer: laptop.access_token })
    t.equal(own.status, 204)
    await expectDead(t, api, laptop)
    t.equal(await api.isActive(eve.access_token), true)
  })

  test(`${store}: DELETE /sessions/:sid with another user's session, or an unknown one, returns 204 and ends nothing`, async (t) => {
    const { api, env, audited } = await startService(t, store)
    await api.signUp('ada', PASSWORD)
    await api.signUp('eve', PASSWORD)
    const ada = await api.tokens('ada', PASSWORD)
    const eve = await api.tokens('eve', PASSWORD)

    for (const sid of [ada.sid, 'nobodys', 'made-up', '__proto__']) {
      const { status } = await api.call(`/sessions/${sid}`, { method: 'DELETE', bearer: eve.access_token })
      t.equal(status, 204, sid)
    }

    t.equal(await api.isActive(ada.access_token), true)
    t.equal((await api.refresh(ada.refresh_token)).status, 200)
    t.strictSame(audited('session.ended'), [])
    if (env.REDIS_URL) {
      const redis = new Redis(env.REDIS_URL)
      t.teardown(() => redis.disconnect())
      const feed = JSON.stringify(await redis.xrange('lk1:feed', '-', '+'))
      t.notMatch(feed, ada.sid, 'no verifier that follows the feed is told')
      t.notMatch(feed, 'made-up')
    }
  })

  test(`${store}: an id that no session can have is 400 on every store`, async (t) => {
    const { api } = await shared()
    await api.signUp('ada3', PASSWORD)
    const { access_token: bearer } = await api.tokens('ada3', PASSWORD)
    const ids = [
      '%00',
      'a%00b',
      '%F0%9F%90%B4',
      'a%20b',
      'a%2Fb',
      '%zz',
      "'%20OR%201=1--",
      'x'.repeat(65),
      'x'.repeat(1000),
    ]
    for (const id of ids) {
      const { status, body } = await api.call(`/sessions/${id}`, { method: 'DELETE', bearer })
      t.match({ status, error: body.error }, { status: 400, error: 'invalid_request' }, id.slice(0, 20))
    }
    t.equal(await api.isActive(bearer), true)
  })

  test(`${store}: DELETE /sessions?except=current ends every other session; without except it is 400`, async (t) => {
    const { api, audited } = await startService(t, store)
    await api.signUp('ada', PASSWORD)
    await api.signUp('eve', PASSWORD)
    const here = await api.tokens('ada', PASSWORD)
    const others = [await api.tokens('ada', PASSWORD), await api.tokens('ada', PASSWORD)]
    const eve = await api.tokens('eve', PASSWORD)

    for (const query of ['', '?except=', '?except=all', '?except=current&except=current', `?except=${here.sid}`]) {
      const { status, body } = await api.call(`/sessions${query}`, { method: 'DELETE', bearer: here.access_token })
      t.match({ status, error: body.error }, { status: 400, error: 'invalid_request' }, query)
    }
    for (const { access_token } of others) t.equal(await api.isActive(access_token), true)

    const { status, text } = await api.call('/sessions?except=current', { method: 'DELETE', bearer: here.access_token })
    t.match({ status, text }, { status: 204, text: '' })
    for (const tokens of others) await expectDead(t, api, tokens)
    t.equal(await api.isActive(here.access_token), true)
    t.equal(await api.isActive(eve.access_token), true)
    t.strictSame(
      audited('session.ended').map(({ sids }) => (sids as string[]).toSorted()),
      [others.map(({ sid }) => sid).sort()],
    )
  })

  test(`${store}: POST /logout-all ends every session of the user, with either token, if the token is live`, async (t) => {
    const { api } = await shared()
    await api.signUp('ada4', PASSWORD)
    await api.signUp('eve4', PASSWORD)
    const eve = await api.tokens('eve4', PASSWORD)
    for (const kind of ['access_token', 'refresh_token'] as const) {
      const phone = await api.tokens('ada4', PASSWORD)
      const laptop = await api.tokens('ada4', PASSWORD)
      const tablet = await api.tokens('ada4', PASSWORD)
      const { status } = await api.call('/logout-all', { method: 'POST', bearer: phone[kind] })
      t.equal(status, 204, kind)
      for (const tokens of [phone, laptop, tablet]) await expectDead(t, api, tokens)
      const again = await api.call('/logout-all', { method: 'POST', bearer: phone[kind] })
      t.match({ status: again.status, error: again.body.error }, { status: 401, error: 'invalid_token' })
    }
    t.equal(await api.isActive(eve.access_token), true)
  })

  test(`${store}: a bad token is 401, whatever else is wrong with the request`, async (t) => {
    const { api } = await shared()
    await api.signUp('ada5', PASSWORD)
    const { access_token: ended } = await api.tokens('ada5', PASSWORD)
    await api.logout(ended)
    const calls: [string, string, unknown?][] = [
      ['GET', '/sessions'],
      ['DELETE', '/sessions'],
      ['DELETE', '/sessions/a%00b'],
      ['POST', '/users/me/password', { current_password: 5 }],
      ['DELETE', '/users/me', {}],
    ]
    for (const [method, path, json] of calls) {
      const body = json === undefined ? {} : { json }
      for (const bearer of [undefined, 'nonsense', ended]) {
        const answer = await api.call(path, { method, ...body, ...(bearer && { bearer }) })
        t.match(
          { status: answer.status, error: answer.body.error, challenge: answer.headers['www-authenticate'] },
          { status: 401, error: 'invalid_token', challenge: /^Bearer / },
          `${method} ${path} ${bearer?.slice(0, 8)}`,
        )
      }
    }
  })
}
