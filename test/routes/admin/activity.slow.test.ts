import { test } from 'tap'
import { adminClient } from '../../support/admin-client.js'
import { PASSWORD, startService } from '../../support/service.js'

/** More than a ring holds. */
const FLOOD = 510

test('P9: no flood of sign-ins, sign-outs and refusals drops what an administrator did from /admin/activity', async (t) => {
  const { api } = await startService(t, 'sqlite', { SESSIONS_PER_USER: '1000' })
  const admin = adminClient(api)
  const { body } = await admin('POST', '/users', { json: { username: 'ada', password: PASSWORD } })
  await admin('PUT', `/users/${body.id}/roles`, { json: { roles: ['editor'] } })
  await api.signUp('eve', PASSWORD)

  let left = FLOOD
  const callers = Array.from({ length: 8 }, async () => {
    while (left-- > 0) {
      const { access_token: token } = await api.tokens('eve', PASSWORD)
      await api.logout(token)
      await api.refresh('lkr_forged')
    }
  })
  await Promise.all(callers)

  const { events } = (await admin('GET', '/activity?event=user.')).body
  t.match(events, [
    { event: 'user.created', by: undefined },
    { event: 'user.roles_changed', by: api.client.id },
    { event: 'user.created', by: api.client.id },
  ])
  t.equal(events.length, 3, 'no further event')
  const ended = (await admin('GET', '/activity?event=session.ended&limit=1000')).body.events
  t.equal(ended.length, 500, 'the ring of what ended is full')
})
