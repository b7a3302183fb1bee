import { test } from 'tap'
import { PASSWORD, startService, stores } from './support/service.js'

for (const store of stores) {
  test(`${store}: a person signs in on two devices, and a sign-out of one device ends only that session`, async (t) => {
    const { api } = await startService(t, store)
    const signUp = await api.signUp('ada', PASSWORD)
    t.equal(signUp.status, 201)
    t.match(signUp.body, { id: /^[0-9a-f-]{36}$/, username: 'ada', created_at: Number })

    const phone = await api.tokens('ada', PASSWORD, { device_name: 'phone' })
    const laptop = await api.tokens('ada', PASSWORD, { device_name: 'laptop', scope: 'todo:read' })
    const refreshed = await api.refresh(phone.refresh_token)
    t.equal(refreshed.status, 200)
    t.equal(refreshed.body.sid, phone.sid)
    t.not(refreshed.body.refresh_token, phone.refresh_token)

    const seen = await api.introspect(laptop.access_token)
    t.match(seen.body, {
      active: true,
      sub: signUp.body.id,
      username: 'ada',
      client_id: 'latchkey',
      scope: 'todo:read',
      aud: 'http://latchkey.test',
      iss: 'http://latchkey.test',
      sid: laptop.sid,
      token_type: 'Bearer',
    })
    t.strictSame(seen.body.roles, [])

    t.equal((await api.logout(refreshed.body.access_token)).status, 204)
    t.strictSame((await api.introspect(refreshed.body.access_token)).body, { active: false })
    t.strictSame((await api.introspect(phone.access_token)).body, { active: false })
    t.equal((await api.refresh(refreshed.body.refresh_token)).status, 400)
    t.equal(await api.isActive(laptop.access_token), true)
    t.equal((await api.refresh(laptop.refresh_token)).status, 200)
  })
}
