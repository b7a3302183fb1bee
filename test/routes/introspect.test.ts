import { t as file, test } from 'tap'
import { createClients } from '../../src/clients/clients.js'
import { withAccounts } from '../support/accounts.js'
import { type Answer, basicAuthorization, type Call } from '../support/api.js'
import { CLIENT, PASSWORD, type RunningService, startService, stores } from '../support/service.js'

/** Percent-encodes every character, as RFC 6749 §2.3.1 allows. */
const encode = (text: string) => [...Buffer.from(text)].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('')

// The service must not confuse encoded and raw parts of this secret.
const AWKWARD = { id: 'awkward.client', secret: 's%41me+colons:and=signs%2Bof:32-bytes%' }

for (const store of stores) {
  // One service for the tests that need no other setting. Each test has its own person.
  let started: Promise<RunningService> | undefined
  const shared = () => (started ??= startService(file, store, { ACCESS_TTL: '10m' }))

  test(`${store}: introspection returns the claims of a live token, numbers as integers, and forbids caching`, async (t) => {
    const { api } = await shared()
    const { body: ada } = await api.signUp('ada1', PASSWORD)
    const { access_token, refresh_token, sid } = await api.tokens('ada1', PASSWORD, { scope: 'todo:read' })

    const { status, headers, body } = await api.introspect(access_token)

    t.equal(status, 200)
    t.equal(headers['cache-control'], 'no-store')
    t.equal(headers['content-type'], 'application/json; charset=utf-8')
    const { exp, iat, jti, auth_time: authTime, ...others } = body
    t.strictSame(others, {
      active: true,
      sub: ada.id,
      username: 'ada1',
      client_id: 'latchkey',
      scope: 'todo:read',
      aud: 'http://latchkey.test',
      iss: 'http://latchkey.test',
      sid,
      token_type: 'Bearer',
      roles: [],
      amr: ['pwd'],
      acr: '1',
    })
    t.ok(Number.isInteger(authTime) && Math.abs(iat - authTime) <= 1)
    t.ok(Number.isInteger(exp) && Number.isInteger(iat) && exp - iat === 600)
    t.match(jti, /^[\w-]{22}$/)

    t.equal((await api.introspect(refresh_token)).text, '{"active":false}', 'a refresh token is not an access token')
    t.equal((await api.introspect('nonsense')).text, '{"active":false}')
    await api.logout(access_token)
    t.equal((await api.introspect(access_token)).text, '{"active":false}')
  })

  test(`${store}: a client authenticates by Basic, percent-encoded or raw, by the body, or by both if they are equal`, async (t) => {
    const { api } = await startService(t, store, { BOOTSTRAP_CLIENT: `${AWKWARD.id}:${AWKWARD.secret}` })
    await api.signUp('ada', PASSWORD)
    const { access_token: token } = await api.tokens('ada', PASSWORD)
    const { id, secret } = AWKWARD
    const posted = { client_id: id, client_secret: secret }
    const raw = basicAuthorization(AWKWARD)
    const encoded = basicAuthorization({ id: encode(id), secret: encode(secret) })
    const ways: [string, Call][] = [
      ['raw', { form: { token }, headers: raw }],
      ['percent-encoded', { form: { token }, headers: encoded }],
      [
        'as browsers encode',
        { form: { token }, headers: basicAuthorization({ id, secret: encodeURIComponent(secret) }) },
      ],
      ['in another case', { form: { token }, headers: { authorization: raw.authorization.replace('Basic', 'bASIC') } }],
      ['in a form', { form: { token, ...posted } }],
      ['in JSON', { json: { token, ...posted } }],
      ['Basic and the same posted', { form: { token, ...posted }, headers: raw }],
      ['encoded Basic and the same posted', { form: { token, ...posted }, headers: encoded }],
      ['Basic and the same id posted', { form: { token, client_id: id }, headers: raw }],
      ['Basic and an empty secret posted', { form: { token, client_id: id, client_secret: '' }, headers: raw }],
    ]
    for (const [way, call] of ways) {
      const { status, body } = await api.call('/introspect', call)
      t.match({ status, active: body.active }, { status: 200, active: true }, way)
    }
  })

  test(`${store}: H12: without credentials, with wrong ones, or with two that differ: 401 invalid_client`, async (t) => {
    const { api } = await shared()
    await api.signUp('ada2', PASSWORD)
    const { access_token: token } = await api.tokens('ada2', PASSWORD)
    const { id, secret } = CLIENT
    const right = basicAuthorization(CLIENT)
    const wrong = basicAuthorization({ id, secret: 'x' })
    const ways: [string, Call][] = [
      ['none', { form: { token } }],
      ['wrong secret', { form: { token }, headers: basicAuthorization({ id, secret: `${secret}x` }) }],
      ['less of the secret', { form: { token }, headers: basicAuthorization({ id, secret: secret.slice(0, -1) }) }],
      ['no secret', { form: { token }, headers: basicAuthorization({ id, secret: '' }) }],
      ['unknown client', { form: { token }, headers: basicAuthorization({ id: 'nobody', secret }) }],
      ['id with NUL', { form: { token }, headers: basicAuthorization({ id: `${id}\u0000`, secret }) }],
      ['SQL', { form: { token }, headers: basicAuthorization({ id: `${id}' OR '1'='1`, secret }) }],
      ['__proto__', { form: { token }, headers: basicAuthorization({ id: '__proto__', secret }) }],
      ['other case of the id', { form: { token }, headers: basicAuthorization({ id: id.toUpperCase(), secret }) }],
      ['no colon', { form: { token }, headers: { authorization: `Basic ${Buffer.from(id).toString('base64')}` } }],
      ['no base64', { form: { token }, headers: { authorization: `Basic ${id}:${secret}` } }],
      ['Basic alone', { form: { token }, headers: { authorization: 'Basic' } }],
      [
        'two in one header',
        { form: { token }, headers: { authorization: `${right.authorization}, ${right.authorization}` } },
      ],
      ['another scheme', { form: { token }, headers: { authorization: `Digest ${id}:${secret}` } }],
      ["a person's token", { form: { token }, headers: { authorization: `Bearer ${token}` } }],
      [
        "a person's token and the client posted",
        { form: { token, client_id: id, client_secret: secret }, headers: { authorization: `Bearer ${token}` } },
      ],
      ['wrong posted', { form: { token, client_id: id, client_secret: 'x' } }],
      ['id alone posted', { form: { token, client_id: id } }],
      ['secret alone posted', { form: { token, client_secret: secret } }],
      ['posted as numbers', { json: { token, client_id: 1, client_secret: 2 } }],
      ['right Basic, wrong posted', { form: { token, client_id: id, client_secret: 'x' }, headers: right }],
      ['right Basic, another id posted', { form: { token, client_id: 'other' }, headers: right }],
      ['right Basic, another secret posted', { form: { token, client_secret: 'x' }, headers: right }],
      ['wrong Basic, right posted', { form: { token, client_id: id, client_secret: secret }, headers: wrong }],
    ]
    const first = await api.call('/introspect', { form: { token } })
    t.equal(
      (await api.call('/introspect', { form: { token }, headers: right })).status,
      200,
      'what was right once is remembered',
    )
    for (const [way, call] of ways) {
      const { status, headers, body, text } = await api.call('/introspect', call)
      t.match(
        { status, error: body.error, challenge: headers['www-authenticate'] },
        { status: 401, error: 'invalid_client', challenge: /^Basic realm="/ },
        way,
      )
      t.equal(text, first.text, 'the same for every cause')
    }
    const credentialsInAddress = await api.call(`/introspect?client_id=${id}&client_secret=${secret}`, {
      form: { token },
    })
    t.equal(credentialsInAddress.status, 400)
  })

  test(`${store}: the client is authenticated before the token is read`, async (t) => {
    const { api } = await shared()
    await api.signUp('ada3', PASSWORD)
    const { access_token: live } = await api.tokens('ada3', PASSWORD)
    const bodies: [string, Call, number][] = [
      ['a live token', { json: { token: live } }, 200],
      ['a bad token', { json: { token: 'nonsense' } }, 200],
      ['no token', { json: {} }, 400],
      ['no body', { method: 'POST' }, 400],
      ['an empty token', { form: { token: '' } }, 400],
      ['a token of another type', { json: { token: 5 } }, 400],
      ['a list of tokens', { json: { token: [live] } }, 400],
      ['a hint of another type', { json: { token: live, token_type_hint: 5 } }, 400],
      ['a list for a body', { json: [live] }, 400],
      ['a string for a body', { json: live }, 400],
      ['null for a body', { json: null }, 400],
    ]
    const wrong = basicAuthorization({ ...CLIENT, secret: 'wrong' })
    const refused: Answer[] = []
    for (const [what, call, expected] of bodies) {
      refused.push(await api.call('/introspect', { ...call, headers: wrong }))
      const { status } = await api.call('/introspect', { ...call, headers: basicAuthorization(CLIENT) })
      t.equal(status, expected, what)
    }
    t.equal(refused[0]?.status, 401)
    for (const { status, text } of refused) t.match({ status, text }, { status: 401, text: refused[0]?.text })
  })

  test(`${store}: token_type_hint is always ignored`, async (t) => {
    const { api } = await shared()
    await api.signUp('ada4', PASSWORD)
    const { access_token: token } = await api.tokens('ada4', PASSWORD)
    for (const hint of ['access_token', 'refresh_token', 'nonsense']) {
      const headers = basicAuthorization(CLIENT)
      const { body } = await api.call('/introspect', { form: { token, token_type_hint: hint }, headers })
      t.equal(body.active, true, hint)
    }
  })

  test(`${store}: a client without the scope introspect gets 403 insufficient_scope, and learns nothing`, async (t) => {
    const { api, env } = await shared()
    await api.signUp('ada5', PASSWORD)
    const { access_token: token } = await api.tokens('ada5', PASSWORD)
    const secret = 'another-secret-of-32-bytes-or-more'
    await withAccounts(env, async (_users, database) => {
      const clients = createClients(database)
      await clients.create({ id: 'none', secret }, { scopes: [], audiences: [] })
      await clients.create({ id: 'similar', secret }, { scopes: ['introspection', 'introspect:all'], audiences: [] })
    })
    for (const id of ['none', 'similar']) {
      const call = { form: { token }, headers: basicAuthorization({ id, secret }) }
      const { status, headers, body } = await api.call('/introspect', call)
      t.match({ status, error: body.error }, { status: 403, error: 'insufficient_scope' }, id)
      t.match(headers['www-authenticate'], /scope="introspect"/)
      t.notOk('active' in body)
    }
  })
}
