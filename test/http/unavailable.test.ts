import { test } from 'tap'
import { basicAuthorization, type Call } from '../support/api.js'
import { startWithFragileStore } from '../support/fragile-store.js'
import { PASSWORD, stores } from '../support/service.js'

for (const store of stores) {
  test(`${store}: while its store is down, sign-in, sign-out and the own account answer 503 with Retry-After and do not name the store`, async (t) => {
    const { api, once, takeStoreAway } = await startWithFragileStore(t, store)
    await api.signUp('ada', PASSWORD)
    const { access_token: bearer, refresh_token, sid } = await api.tokens('ada', PASSWORD)
    t.equal(await api.isActive(bearer), true, 'from now on the client is known')
    const headers = basicAuthorization(api.client)

    const writing: [string, string, Call][] = [
      ['POST', '/login', { json: { username: 'ada', password: PASSWORD } }],
      ['POST', '/refresh', { json: { refresh_token } }],
      ['POST', '/logout', { bearer }],
      ['POST', '/logout-all', { bearer }],
      ['POST', '/revoke', { form: { token: bearer } }],
      ['DELETE', `/sessions/${sid}`, { bearer }],
      ['DELETE', '/sessions?except=current', { bearer }],
      ['POST', '/users/me/password', { bearer, json: { current_password: PASSWORD, new_password: `${PASSWORD}!` } }],
      ['DELETE', '/users/me', { bearer, json: { password: PASSWORD } }],
    ]
    const reading: [string, string, Call][] = [
      ['GET', '/sessions', { bearer }],
      ['POST', '/introspect', { form: { token: bearer }, headers }],
      ['GET', '/verify', { bearer }],
    ]
    // A locked SQLite file can still be read.
    const calls = store === 'sqlite' ? writing : [...writing, ...reading]
    await takeStoreAway()

    for (const [method, path, call] of calls) {
      const answer = await once.call(path, { method, ...call })
      t.equal(answer.status, 503, `${method} ${path}`)
      t.match(answer.headers, { 'retry-after': /^[1-9]\d*$/, 'content-type': 'application/json; charset=utf-8' })
      t.strictSame(answer.body, {
        error: 'temporarily_unavailable',
        error_description: 'the service cannot answer now: try again',
      })
    }
    const needsNone = await api.refresh('lkr_forged')
    t.equal(needsNone.status, 400, 'what needs no store is answered')
  })
}

test('redis: a change of an account by an administrator is audited, although the sessions cannot be ended', async (t) => {
  const { api, once, takeStoreAway, audited } = await startWithFragileStore(t, 'redis')
  const { id } = (await api.signUp('ada', PASSWORD)).body
  const headers = basicAuthorization(api.client)
  await api.call('/admin/users', { headers })
  await takeStoreAway()

  for (const [event, method, path, json] of [
    ['user.roles_changed', 'PUT', '/roles', { roles: ['latchkey-admin'] }],
    ['user.password_reset', 'POST', '/password', { password: `${PASSWORD}!` }],
    ['user.renamed', 'PUT', '/username', { username: 'lovelace' }],
    ['user.mfa_changed', 'PUT', '/mfa', { required: true }],
    ['factor.reset', 'DELETE', '/factors', undefined],
    ['user.disabled', 'POST', '/disable', undefined],
    ['user.disabled', 'DELETE', '', undefined],
  ] as const) {
    const before = audited(event).length
    const answer = await once.call(`/admin/users/${id}${path}`, { method, headers, ...(json && { json }) })
    t.equal(answer.status, 503, `${method} ${path}`)
    t.match(audited(event).slice(before), [{ sub: id, by: api.client.id }], event)
    t.equal(audited(event).length, before + 1)
  }
  t.strictSame(audited('user.deleted'), [])
})
