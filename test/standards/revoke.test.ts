import { test } from 'tap'
import { basicAuthorization } from '../support/api.js'
import { createClient } from '../support/clients.js'
import { untilNextSecond } from '../support/eventually.js'
import { CLIENT, PASSWORD, startService, stores } from '../support/service.js'

for (const store of stores) {
  test(`${store}: POST /revoke ends an access token, its session and the refresh token at once (RFC 7009)`, async (t) => {
    const { api, audited } = await startService(t, store)
    await api.signUp('ada', PASSWORD)
    const [byAccess, byRefresh, other] = [
      await api.tokens('ada', PASSWORD),
      await api.tokens('ada', PASSWORD),
      await api.tokens('ada', PASSWORD),
    ]

    for (const [session, token] of [
      [byAccess, byAccess.access_token],
      [byRefresh, byRefresh.refresh_token],
    ] as const) {
      const answer = await api.call('/revoke', { form: { token }, headers: basicAuthorization(CLIENT) })
      t.match(answer, { status: 200, text: '' })
      t.strictSame((await api.introspect(session.access_token)).body, { active: false })
      t.equal((await api.refresh(session.refresh_token)).status, 400)
      t.equal((await api.call('/verify', { bearer: session.access_token })).status, 401)
      t.equal(audited('session.ended').filter(({ sids }) => String(sids) === session.sid).length, 1)
    }
    t.equal(await api.isActive(other.access_token), true, 'the session beside them lives')
  })

  test(`${store}: POST /revoke ends the revoked token of a client, and its older tokens`, async (t) => {
    const { api, env } = await startService(t, store)
    const [backend, mailer] = [
      await createClient(env, 'backend', { scopes: ['introspect'] }),
      await createClient(env, 'mailer'),
    ]
    const grant = async (client: typeof backend) => {
      const form = { grant_type: 'client_credentials' }
      return (await api.call('/token', { form, headers: basicAuthorization(client) })).body.access_token as string
    }
    const [token, foreign] = [await grant(backend), await grant(mailer)]
    t.equal(await api.isActive(token), true)

    t.match(await api.call('/revoke', { form: { token }, headers: basicAuthorization(backend) }), {
      status: 200,
      text: '',
    })

    t.strictSame((await api.introspect(token)).body, { active: false })
    t.equal((await api.call('/verify', { bearer: token })).status, 401)
    t.match(
      await api.call('/introspect', { form: { token }, bearer: token }),
      { status: 401, body: { error: 'invalid_client' } },
      'the token no longer authenticates the client',
    )
    t.equal(await api.isActive(foreign), true, "another client's tokens live")
    // Times of issue are whole seconds. A token of the same second has ended too.
    await untilNextSecond()
    t.equal(await api.isActive(await grant(backend)), true, 'and so do those that it gets from now on')
  })

  test(`${store}: POST /revoke answers 200 without a body, whatever the token is (RFC 7009 §2.2)`, async (t) => {
    const { api } = await startService(t, store)
    await api.signUp('ada', PASSWORD)
    const { access_token: live, refresh_token: refresh } = await api.tokens('ada', PASSWORD)
    const [header, claims, signature = ''] = live.split('.')
    // About one token in a thousand ends in AA by chance.
    const otherEnd = refresh.endsWith('AA') ? 'BA' : 'AA'

    for (const token of [
      'garbage',
      'lkr_garbage',
      'a.b.c',
      '\0',
      'ü'.repeat(100),
      'x'.repeat(10_000),
      `${header}.${claims}.${[...signature].reverse().join('')}`,
      `${refresh.slice(0, -2)}${otherEnd}`,
    ]) {
      for (const headers of [basicAuthorization(CLIENT), {}]) {
        const answer = await api.call('/revoke', { form: { token, token_type_hint: 'nonsense' }, headers })
        t.match(answer, { status: 200, text: '' }, token.slice(0, 20))
      }
    }
    t.equal(await api.isActive(live), true, 'a token that is like it does not end it')
    for (let again = 0; again < 2; again += 1) {
      t.match(await api.call('/revoke', { form: { token: live } }), { status: 200, text: '' }, 'its holder may end it')
    }
    t.equal(await api.isActive(live), false)
  })
}

test('POST /revoke: given client credentials must be right, and the token is required', async (t) => {
  const { api } = await startService(t, 'sqlite')
  await api.signUp('ada', PASSWORD)
  const { access_token: token } = await api.tokens('ada', PASSWORD)
  const refused = { status: 401, body: { error: 'invalid_client' }, headers: { 'www-authenticate': /^Basic / } }

  t.match(
    await api.call('/revoke', { form: { token }, headers: basicAuthorization({ ...CLIENT, secret: 'wrong' }) }),
    refused,
  )
  t.match(
    await api.call('/revoke', { form: { token }, headers: basicAuthorization({ ...CLIENT, id: 'nobody' }) }),
    refused,
  )
  t.match(await api.call('/revoke', { form: { token, client_id: CLIENT.id, client_secret: 'wrong' } }), refused)
  t.equal(await api.isActive(token), true)
  const missing = await api.call('/revoke', { form: {}, headers: basicAuthorization(CLIENT) })
  t.match(missing, { status: 400, body: { error: 'invalid_request', error_description: 'token is missing' } })
  t.match(await api.call('/revoke', { form: {}, headers: basicAuthorization({ ...CLIENT, secret: 'wrong' }) }), refused)
})
