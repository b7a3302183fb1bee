import { test } from 'tap'
import type { Api } from '../support/api.js'
import { expectEvents } from '../support/audit-events.js'
import { claimsOf } from '../support/decode.js'
import { untilNextSecond } from '../support/eventually.js'
import { PASSWORD, startService, stores } from '../support/service.js'

const stepUp = (api: Api, bearer: string, json: object) => api.call('/login/step-up', { bearer, json })

for (const store of stores) {
  test(`${store}: step-up renews auth_time in the same session, which its refreshes keep (RFC 9470)`, async (t) => {
    const service = await startService(t, store, { AUDIENCE: 'app,todo' })
    const { api } = service
    await api.signUp('ada', PASSWORD)
    // The only audience of this session is a service that may demand the step-up.
    const tokens = await api.tokens('ada', PASSWORD, { audience: 'todo', scope: 'todo:read' })
    const first = claimsOf(tokens.access_token)
    t.match(first, { acr: '1', auth_time: Number })
    t.strictSame(first.amr, ['pwd'])
    t.ok(Math.abs(Number(first.auth_time) - Number(first.iat)) <= 1)
    const { body: introspected } = await api.introspect(tokens.access_token)
    t.match(introspected, { active: true, acr: '1', auth_time: first.auth_time })
    t.strictSame(introspected.amr, ['pwd'])

    // The clock of a store goes on by itself: wait for another second of it.
    await untilNextSecond()
    const stepped = await stepUp(api, tokens.access_token, { password: PASSWORD })
    t.match(stepped, {
      status: 200,
      headers: { 'cache-control': 'no-store' },
      body: { sid: tokens.sid, scope: 'todo:read' },
    })
    t.not(stepped.body.refresh_token, tokens.refresh_token)
    const second = claimsOf(stepped.body.access_token)
    t.ok(Number(second.auth_time) > Number(first.auth_time))
    t.match(second, { sid: tokens.sid, aud: 'todo', acr: '1' })
    t.strictSame(second.amr, ['pwd'])

    const refreshed = await api.refresh(stepped.body.refresh_token)
    const third = claimsOf(refreshed.body.access_token)
    t.match(third, { auth_time: second.auth_time, acr: '1' })
    t.strictSame(third.amr, ['pwd'])
    t.equal(
      (await api.call('/sessions', { bearer: (await api.tokens('ada', PASSWORD)).access_token })).body.sessions.length,
      2,
    )
    expectEvents(t, service.audited('login.stepped_up'), [{ sid: tokens.sid, amr: ['pwd'] }])
  })

  test(`${store}: step-up refuses a wrong password, an ended session and none or two proofs, and is throttled`, async (t) => {
    const { api } = await startService(t, store)
    await api.signUp('ada', PASSWORD)
    const { access_token: bearer } = await api.tokens('ada', PASSWORD)

    const what = 'send the password, or one of totp, recovery_code and passkey'
    t.match(await stepUp(api, bearer, {}), { status: 400, body: { error_description: what } })
    t.equal((await stepUp(api, bearer, { password: PASSWORD, totp: '123456' })).status, 400)
    t.equal((await api.call('/login/step-up', { json: { password: PASSWORD } })).status, 401)
    const { body } = await api.call('/token', {
      form: { grant_type: 'client_credentials', client_id: api.client.id, client_secret: api.client.secret },
    })
    t.equal((await stepUp(api, body.access_token, { password: PASSWORD })).status, 401, 'the token of a client')

    for (let i = 0; i < 5; i += 1) {
      t.match(await stepUp(api, bearer, { password: 'not the password' }), {
        status: 401,
        body: { error: 'invalid_grant' },
      })
    }
    t.match(await stepUp(api, bearer, { password: PASSWORD }), { status: 429, headers: { 'retry-after': String } })

    const ended = (await api.tokens('ada', PASSWORD)).access_token
    await api.logout(ended)
    t.equal((await stepUp(api, ended, { password: PASSWORD })).status, 401)
  })
}
