import { sharedSecretKey } from '@latchkey/verifier/access-token'
import { decodeJwt, SignJWT } from 'jose'
import { test } from 'tap'
import { basicAuthorization } from '../support/api.js'
import { type Credentials, createClient, rotateSecret } from '../support/clients.js'
import { eventually } from '../support/eventually.js'
import { keyFileSettings, makeKey, writeKeyFile } from '../support/keys.js'
import { CLIENT, JWT_SECRET, PASSWORD, startService, stores } from '../support/service.js'
import { claimsWithGenuineJti } from '../support/stamped.js'

for (const store of stores) {
  test(`R12: ${store}: client B cannot use the refresh token of client A, and A still can`, async (t) => {
    const { api, env, audited } = await startService(t, store)
    const [a, b] = [await createClient(env, 'a'), await createClient(env, 'b')]
    await api.signUp('ada', PASSWORD)
    const form = { username: 'ada', password: PASSWORD }
    const { body: begun } = await api.call('/login', { form, headers: basicAuthorization(a) })
    const refreshAs = (client: Credentials, token: string) =>
      api.call('/token', {
        form: { grant_type: 'refresh_token', refresh_token: token },
        headers: basicAuthorization(client),
      })
    const refused = { status: 400, body: { error: 'invalid_grant' } }
    t.equal((await api.introspect(begun.access_token)).body.client_id, 'a')

    for (let again = 0; again < 3; again += 1) t.match(await refreshAs(b, begun.refresh_token), refused)
    t.match(await api.refresh(begun.refresh_token), refused, 'nor is it to somebody without a client')
    t.equal(await api.isActive(begun.access_token), true, 'nothing has ended')

    const refreshed = await refreshAs(a, begun.refresh_token)
    t.match(refreshed, { status: 200, headers: { 'cache-control': 'no-store' }, body: { sid: begun.sid } })
    t.equal(audited('refresh.rotated').length, 1, 'it was not consumed before')
    t.match(await refreshAs(b, begun.refresh_token), refused, 'B does not prove reuse either')
    t.match(
      (await refreshAs(a, begun.refresh_token)).body.refresh_token,
      refreshed.body.refresh_token,
      'a retry of A does',
    )
    t.equal(await api.isActive(refreshed.body.access_token), true)
  })
}

test('a client may refresh a session that a person began without a client', async (t) => {
  const { api, env } = await startService(t, 'sqlite')
  const client = await createClient(env, 'backend')
  await api.signUp('ada', PASSWORD)
  const begun = await api.tokens('ada', PASSWORD)
  const form = { grant_type: 'refresh_token', refresh_token: begun.refresh_token }
  t.match(await api.call('/token', { form, headers: basicAuthorization(client) }), {
    status: 200,
    body: { sid: begun.sid },
  })
})

test('POST /login with wrong client credentials gets 401, and nobody is signed in', async (t) => {
  const { api, audited } = await startService(t, 'sqlite')
  await api.signUp('ada', PASSWORD)
  const form = { username: 'ada', password: PASSWORD }
  const refused = { status: 401, body: { error: 'invalid_client' } }
  t.match(await api.call('/login', { form, headers: basicAuthorization({ ...CLIENT, secret: 'wrong' }) }), refused)
  t.match(await api.call('/login', { form: { ...form, client_id: CLIENT.id, client_secret: 'wrong' } }), refused)
  t.equal(audited('login.accepted').length, 0)
})

test('POST /introspect: a client may use its own token with the scope, while the client has that scope', async (t) => {
  const { api, env } = await startService(t, 'sqlite', keyFileSettings(writeKeyFile(t, await makeKey('ES256'))))
  const [asker, other] = [
    await createClient(env, 'asker', { scopes: ['introspect', 'todo:read'] }),
    await createClient(env, 'other'),
  ]
  const grant = async (client: Credentials, scope?: string) =>
    (
      await api.call('/token', {
        form: { grant_type: 'client_credentials', ...(scope !== undefined && { scope }) },
        headers: basicAuthorization(client),
      })
    ).body.access_token as string
  const token = await grant(other)
  const ask = (bearer: string) => api.call('/introspect', { form: { token }, bearer })

  t.match(await ask(await grant(asker, 'introspect')), { status: 200, body: { active: true, sub: 'other' } })

  const narrow = await ask(await grant(asker, 'todo:read'))
  t.match(narrow, { status: 403, body: { error: 'insufficient_scope' } }, 'the token lacks the scope')
  t.match(narrow.headers['www-authenticate'], /scope="introspect"/)
  t.equal((await ask(await grant(other))).status, 403, 'the client lacks the scope')
  t.match(await ask('garbage'), { status: 401, body: { error: 'invalid_client' } })
})

test("POST /introspect: a person's token never acts for a client, whatever its scope says", async (t) => {
  const { api, env } = await startService(t, 'sqlite')
  await createClient(env, 'asker', { scopes: ['introspect'] })
  await api.signUp('ada', PASSWORD)
  const { access_token: token } = await api.tokens('ada', PASSWORD)
  const ask = (bearer: string) => api.call('/introspect', { form: { token }, bearer })
  const refused = { status: 401, body: { error: 'invalid_client' } }

  t.match(await api.login('ada', PASSWORD, { scope: 'introspect' }), { status: 400, body: { error: 'invalid_scope' } })
  t.match(await api.login('ada', PASSWORD, { scope: 'a admin' }), { status: 400, body: { error: 'invalid_scope' } })
  t.match(await ask(token), refused)
  // A token with this scope, signed with the real key for a live session.
  const claims = decodeJwt(token)
  const sign = (changes: object) =>
    new SignJWT(claimsWithGenuineJti({ ...claims, ...changes }))
      .setProtectedHeader({ alg: 'HS256', typ: 'at+jwt', kid: sharedSecretKey(JWT_SECRET).kid })
      .sign(new TextEncoder().encode(JWT_SECRET))
  t.equal(await api.isActive(await sign({ scope: 'introspect admin' })), true)
  t.match(await ask(await sign({ scope: 'introspect admin' })), refused)
  t.match(await ask(await sign({ scope: 'introspect', client_id: 'asker' })), refused)
})

test('POST /introspect: a client with audiences sees only tokens for these audiences', async (t) => {
  const { api, env } = await startService(t, 'sqlite', { AUDIENCE: 'todo,mail' })
  const mailer = await createClient(env, 'mailer', { scopes: ['introspect'], audiences: ['mail'] })
  await api.signUp('ada', PASSWORD)
  const [todo, mail] = [await api.tokens('ada', PASSWORD), await api.tokens('ada', PASSWORD, { audience: 'mail' })]
  const see = async (token: string) =>
    (await api.call('/introspect', { form: { token }, headers: basicAuthorization(mailer) })).body

  t.match(await see(mail.access_token), { active: true, aud: 'mail' })
  t.strictSame(await see(todo.access_token), { active: false }, 'as if there were no such token')
  t.equal(await api.isActive(todo.access_token), true, 'one without audiences sees it')
})

test('a client secret: the previous one works until the overlap ends, and an older one never works', async (t) => {
  const { api, env } = await startService(t, 'sqlite')
  const first = await createClient(env, 'backend', { scopes: ['introspect'] })
  const status = async (client: Credentials) =>
    (await api.call('/introspect', { form: { token: 'x' }, headers: basicAuthorization(client) })).status
  t.equal(await status(first), 200)

  const second = await rotateSecret(env, first, 60_000)
  t.equal(await status(second), 200, 'the new one works at once, though it was given out by another process')
  t.equal(await status(first), 200, 'and so does the old one')

  const overlap = 7000
  const started = Date.now()
  const third = await rotateSecret(env, second, overlap)
  t.equal(await status(third), 200)
  t.equal(await status(second), 200)
  t.equal(await status(first), 401, 'two before: no longer')
  await eventually(async () => (await status(second)) !== 200)
  t.ok(Date.now() - started >= overlap, `good for the whole overlap: ${Date.now() - started} ms`)
  t.equal(await status(second), 401)
  t.equal(await status(third), 200)
})

test('POST /introspect: a client_id unlike the header gets 401, also when the service remembers the header', async (t) => {
  const { api } = await startService(t, 'sqlite')
  const ask = (client_id: string) =>
    api.call('/introspect', { form: { token: 'x', client_id }, headers: basicAuthorization(CLIENT) })
  for (const _ of ['not known yet', 'known']) {
    t.match(await ask('other'), { status: 401, body: { error: 'invalid_client' } })
    t.equal((await ask(CLIENT.id)).status, 200)
    t.equal((await api.introspect('x')).status, 200)
  }
})
