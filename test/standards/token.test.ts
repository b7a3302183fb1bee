import { test } from 'tap'
import { basicAuthorization } from '../support/api.js'
import { createClient } from '../support/clients.js'
import { CLIENT, startService } from '../support/service.js'

const AUDIENCES = { AUDIENCE: 'http://latchkey.test,todo,mail' }

test('POST /token: a client gets its own token with its scopes (RFC 6749 §4.4)', async (t) => {
  const { api, env } = await startService(t, 'sqlite', AUDIENCES)
  const client = await createClient(env, 'backend', { scopes: ['todo:read', 'todo:write'] })

  const answer = await api.call('/token', {
    form: { grant_type: 'client_credentials' },
    headers: basicAuthorization(client),
  })

  t.equal(answer.status, 200)
  t.equal(answer.headers['cache-control'], 'no-store')
  t.match(answer.headers['content-type'], /^application\/json/)
  t.strictSame(
    Object.keys(answer.body).sort(),
    ['access_token', 'expires_in', 'scope', 'token_type'],
    'no refresh token, and no session',
  )
  t.match(answer.body, { token_type: 'Bearer', expires_in: 900, scope: 'todo:read todo:write' })
  const { body } = await api.introspect(answer.body.access_token)
  t.match(body, { active: true, sub: 'backend', client_id: 'backend', aud: 'http://latchkey.test' })
  t.notOk('sid' in body || 'username' in body)
})

test('POST /token: a client may ask for fewer scopes and another audience, and not for more', async (t) => {
  const { api, env } = await startService(t, 'sqlite', AUDIENCES)
  const client = await createClient(env, 'backend', { scopes: ['todo:read', 'todo:write'] })
  const ask = (form: Record<string, string>) =>
    api.call('/token', { form: { grant_type: 'client_credentials', ...form }, headers: basicAuthorization(client) })

  const narrow = await ask({ scope: 'todo:read', audience: 'todo' })
  t.equal(narrow.body.scope, 'todo:read')
  t.match((await api.introspect(narrow.body.access_token)).body, { scope: 'todo:read', aud: 'todo' })

  // RFC 6749 §3.1: a parameter without a value counts as omitted.
  t.match(await ask({ scope: '' }), { status: 200, body: { scope: 'todo:read todo:write' } })
  t.match(await ask({ scope: 'todo:read admin' }), { status: 400, body: { error: 'invalid_scope' } })
  t.match(await ask({ scope: 'todo' }), { status: 400, body: { error: 'invalid_scope' } })
  t.match(await ask({ scope: 'todo:read  todo:write' }), { status: 400, body: { error: 'invalid_request' } })
  t.match(await ask({ scope: 'a"b' }), { status: 400, body: { error: 'invalid_request' } })
  t.match(await ask({ audience: 'todo2' }), { status: 400, body: { error: 'invalid_target' } })
})

test('POST /token: a client with audiences gets tokens only for these', async (t) => {
  const { api, env } = await startService(t, 'sqlite', AUDIENCES)
  const client = await createClient(env, 'mailer', { audiences: ['mail', 'elsewhere'] })
  const ask = (form: Record<string, string>) =>
    api.call('/token', { form: { grant_type: 'client_credentials', ...form }, headers: basicAuthorization(client) })

  const first = await ask({})
  t.equal((await api.introspect(first.body.access_token)).body.aud, 'mail', 'the first of its own is the default')
  t.equal((await ask({ audience: 'mail' })).status, 200)
  t.match(await ask({ audience: 'todo' }), { status: 400, body: { error: 'invalid_target' } })
  t.match(
    await ask({ audience: 'elsewhere' }),
    { status: 400, body: { error: 'invalid_target' } },
    'and the service must issue for it too',
  )
})

test('POST /token: other grants are refused, above all the password grant', async (t) => {
  const { api } = await startService(t, 'sqlite')
  const ask = (form: Record<string, string>) => api.call('/token', { form, headers: basicAuthorization(CLIENT) })

  for (const grant of ['password', 'authorization_code', 'client_credential', 'CLIENT_CREDENTIALS', '__proto__']) {
    const answer = await ask({ grant_type: grant, username: 'ada', password: 'x' })
    t.match(answer, { status: 400, body: { error: 'unsupported_grant_type' } }, grant)
  }
  for (const form of [{}, { grant_type: '' }, { grant_type: 'refresh_token' }] as Record<string, string>[]) {
    t.match(await ask(form), { status: 400, body: { error: 'invalid_request' } }, JSON.stringify(form))
  }
})

test('H4: POST /token, /revoke and /introspect refuse a parameter given twice with 400', async (t) => {
  const { api } = await startService(t, 'sqlite')
  const form = (raw: string) => ({
    raw,
    headers: { 'content-type': 'application/x-www-form-urlencoded', ...basicAuthorization(CLIENT) },
  })
  for (const [path, raw] of [
    ['/token', 'grant_type=client_credentials&grant_type=client_credentials'],
    ['/token', 'grant_type=client_credentials&scope=a&scope=b'],
    ['/token', 'grant_type=client_credentials&unknown=1&unknown=2'],
    ['/revoke', 'token=a&token=b'],
    ['/introspect', 'token=a&token=a'],
  ] as const) {
    t.match(await api.call(path, form(raw)), { status: 400, body: { error: 'invalid_request' } }, raw)
  }
  const unknown = await api.call('/token', form('grant_type=client_credentials&nonce=a&state=b'))
  t.equal(unknown.status, 200, 'one that is not known is ignored (RFC 6749 §3.2)')
})

test('POST /token: the client is authenticated before the other parameters are read', async (t) => {
  const { api } = await startService(t, 'sqlite')
  const refused = { status: 401, body: { error: 'invalid_client' }, headers: { 'www-authenticate': /^Basic / } }

  t.match(await api.call('/token', { form: {} }), refused)
  t.match(await api.call('/token', { form: { grant_type: 'password' } }), refused)
  t.match(await api.call('/token', { form: {}, headers: basicAuthorization({ ...CLIENT, secret: 'wrong' }) }), refused)
  t.match(await api.call('/token', { form: {}, headers: basicAuthorization({ ...CLIENT, id: 'nobody' }) }), refused)
  t.match(await api.call('/token', { form: { client_id: CLIENT.id } }), refused, 'an id alone is not a credential')
})

test('client authentication: Basic percent-encoded or raw, in the body, or both with equal credentials', async (t) => {
  // Contains every character that the two forms of Basic treat differently.
  const odd = { id: 'backend', secret: 'a+b%20c:d/e=f&g%2Bh~i_j-k.l*m!n(o)' }
  const { api } = await startService(t, 'sqlite', { BOOTSTRAP_CLIENT: `${odd.id}:${odd.secret}` })
  const form = { grant_type: 'client_credentials' }
  const posted = { client_id: odd.id, client_secret: odd.secret }
  const encoded = { id: odd.id, secret: encodeURIComponent(odd.secret) }
  const ask = async (more: Record<string, string>, headers: Record<string, string> = {}) =>
    (await api.call('/token', { form: { ...form, ...more }, headers })).status

  t.equal(await ask({}, basicAuthorization(odd)), 200, 'raw')
  t.equal(await ask({}, basicAuthorization(encoded)), 200, 'percent-encoded (RFC 6749 §2.3.1)')
  t.equal(
    await ask({}, { authorization: basicAuthorization(odd).authorization.replace('Basic', 'bAsIc') }),
    200,
    'in any case',
  )
  t.equal(await ask(posted), 200, 'in the body')
  t.equal(await ask(posted, basicAuthorization(odd)), 200, 'both, the same')
  t.equal(await ask(posted, basicAuthorization(encoded)), 200)

  t.equal(await ask({ ...posted, client_secret: 'other' }, basicAuthorization(odd)), 401, 'both, and they differ')
  t.equal(await ask(posted, basicAuthorization({ ...odd, secret: 'other' })), 401)
  t.equal(await ask({ ...posted, client_id: 'other' }, basicAuthorization(odd)), 401)
  t.equal(
    await ask({}, basicAuthorization({ ...odd, secret: encodeURIComponent(encoded.secret) })),
    401,
    'encoded twice',
  )
  t.equal(await ask(posted, { authorization: 'Basic' }), 401, 'a header that says nothing is not passed over')
  t.equal(await ask(posted, { authorization: 'Negotiate abc' }), 401)
})
