import { createVerifier } from '@latchkey/verifier'
import { test } from 'tap'
import { readConfig } from '../../src/config/read.js'
import { adminClient, UNKNOWN_USER_ID } from '../support/admin-client.js'
import { expectEvents } from '../support/audit-events.js'
import { createClient } from '../support/clients.js'
import { claimsOf } from '../support/decode.js'
import { eventually } from '../support/eventually.js'
import { exchange } from '../support/exchange.js'
import { latchkey, operatorEnvironment } from '../support/latchkey.js'
import { createPostgresDatabase } from '../support/servers/postgres.js'
import { startTcpProxy } from '../support/servers/tcp-proxy.js'
import {
  environment,
  JWT_SECRET,
  PASSWORD,
  startReady,
  startService,
  startServiceWith,
  stores,
} from '../support/service.js'

for (const store of stores) {
  test(`${store}: claims that ACCOUNT_CLAIMS names are in tokens and introspection; a change arrives with the next refresh`, async (t) => {
    const { api, audited, config } = await startService(t, store, {
      ACCOUNT_CLAIMS: 'email, tenant,plan,https://example.com/seats',
    })
    const admin = adminClient(api)
    const claims = { tenant: 'acme', 'https://example.com/seats': 12, email: 'ada@example.com', note: 'stays here' }
    const made = await admin('POST', '/users', { json: { username: 'ada', password: PASSWORD, claims } })
    t.match(made, { status: 201, body: { claims } })
    const { id } = made.body
    const { note, ...carried } = claims

    const first = await api.tokens('ada', PASSWORD)
    t.match(claimsOf(first.access_token), carried)
    t.notOk('note' in claimsOf(first.access_token), 'the others are not')
    const answer = (await api.introspect(first.access_token)).body
    t.match(answer, { active: true, sub: id, username: 'ada', ...carried })
    t.notOk('note' in answer || 'plan' in answer)
    const verifier = createVerifier({
      issuer: config.issuer,
      audience: config.issuer,
      keys: { secrets: [JWT_SECRET] },
      revocation: { mode: 'none' },
    })
    t.match(await verifier.verify(first.access_token), carried)
    await verifier.close()

    const changed = { tenant: 'Ünïversal "quoted" \\ 😀', plan: 'gold', email: true }
    t.equal((await admin('PUT', `/users/${id}/claims`, { json: { claims: changed } })).status, 204)
    const by = api.client.id
    expectEvents(t, audited('user.claims_changed').slice(-1), [{ sub: id, claims: ['tenant', 'plan', 'email'], by }])
    t.notMatch(JSON.stringify(audited('user.claims_changed')), /gold/, 'the log has names, and no values')
    t.match((await api.introspect(first.access_token)).body, carried, 'a token stays as it is')
    const second = (await api.refresh(first.refresh_token)).body
    t.match((await api.introspect(second.access_token)).body, { active: true, ...changed })
    t.notOk('https://example.com/seats' in claimsOf(second.access_token))
    const replayed = (await api.refresh(first.refresh_token)).body
    t.match(claimsOf(replayed.access_token), changed, 'a retry too')
    t.equal((await api.call('/verify', { bearer: second.access_token })).status, 200)

    t.equal((await admin('PUT', `/users/${id}/claims`, { form: { claims: '{}' } })).status, 204)
    const third = (await api.refresh(second.refresh_token)).body
    for (const name of Object.keys(changed)) t.notOk(name in claimsOf(third.access_token), name)
    t.match((await admin('GET', `/users/${id}`)).body, { claims: {} })
    t.notOk('email' in claimsOf((await api.tokens('ada', PASSWORD)).access_token))
  })
}

test('an exchanged token has the account claims of its subject token, and introspection shows them', async (t) => {
  const { api, env } = await startService(t, 'sqlite', { ACCOUNT_CLAIMS: 'tenant', AUDIENCE: 'web,todo' })
  const admin = adminClient(api)
  const claims = { tenant: 'acme', note: 'stays here' }
  const { id } = (await admin('POST', '/users', { json: { username: 'ada', password: PASSWORD, claims } })).body
  const gateway = await createClient(env, 'gateway', { exchangeAudiences: ['todo'] })
  const { access_token: subject } = await api.tokens('ada', PASSWORD)
  await admin('PUT', `/users/${id}/claims`, { json: { claims: { tenant: 'other' } } })

  const { access_token: narrow } = (await exchange(api, gateway, subject, { audience: 'todo' })).body

  t.match(claimsOf(narrow), { aud: 'todo', tenant: 'acme', act: { sub: 'gateway' } }, 'as old as the subject token')
  t.notOk('note' in claimsOf(narrow))
  t.match((await api.introspect(narrow)).body, { active: true, tenant: 'acme' })
})

test('while the database is down, a refresh that needs account claims is 503 and spends nothing: no token lacks its claims', async (t) => {
  const { url, drop } = await createPostgresDatabase()
  t.teardown(drop)
  const proxy = await startTcpProxy(Number(new URL(url).port))
  t.teardown(() => proxy.stop())
  const behindProxy = new URL(url)
  behindProxy.port = String(proxy.port)
  const env = { ...(await environment(t, 'redis')), DATABASE_URL: behindProxy.href, ACCOUNT_CLAIMS: 'tenant' }
  const { api, once, audited } = await startReady(t, env)
  const claims = { tenant: 'acme' }
  await adminClient(api)('POST', '/users', { json: { username: 'ada', password: PASSWORD, claims } })
  const { refresh_token: token } = await api.tokens('ada', PASSWORD)
  const plain = await startServiceWith(t, { ...env, ACCOUNT_CLAIMS: '' })
  const other = await plain.api.tokens('ada', PASSWORD)

  proxy.cut()

  t.match(await once.refresh(token), {
    status: 503,
    body: { error: 'temporarily_unavailable' },
    headers: { 'retry-after': /./ },
  })
  t.equal(
    (await plain.api.refresh(other.refresh_token)).status,
    200,
    'without account claims a refresh needs Redis alone',
  )
  proxy.restore()
  let answer = await once.refresh(token)
  await eventually(async () => {
    if (answer.status !== 200) answer = await once.refresh(token)
    return answer.status === 200
  })
  t.match(claimsOf(answer.body.access_token), claims)
  t.equal(audited('refresh.rotated').length, 1, 'the refused one did not rotate')
  t.equal(audited('refresh.replayed').length, 0)
})

test('without ACCOUNT_CLAIMS no claim of an account is in a token', async (t) => {
  const { api } = await startService(t, 'sqlite')
  const claims = { tenant: 'acme' }
  await adminClient(api)('POST', '/users', { json: { username: 'ada', password: PASSWORD, claims } })
  const { access_token, refresh_token } = await api.tokens('ada', PASSWORD)
  t.notOk('tenant' in claimsOf(access_token))
  t.notOk('tenant' in (await api.introspect(access_token)).body)
  t.notOk('tenant' in claimsOf((await api.refresh(refresh_token)).body.access_token))
})

test('claims are a flat object of at most 1 KiB without a name that tokens use, wherever they are set', async (t) => {
  const { api, env } = await startService(t, 'sqlite', { ACCOUNT_CLAIMS: 'tenant' })
  const admin = adminClient(api)
  const { id } = (await api.signUp('ada', PASSWORD)).body
  const wrong: [claims: unknown, reason: RegExp][] = [
    [[], /JSON object|claims/],
    ['text', /JSON object/],
    [7, /claims/],
    [null, /claims/],
    ...['sub', 'iss', 'aud', 'exp', 'roles', 'scope', 'sid', 'client_id', 'act', 'acr', 'amr', 'auth_time', 'active']
      .concat('username', 'cnf', 'prototype', '', '7', 'a b', 'é', 'x'.repeat(65))
      .map((name): [unknown, RegExp] => [{ [name]: 'x' }, /a claim name has/]),
    [{ tenant: {} }, /tenant must be a text/],
    [{ tenant: ['a'] }, /tenant must be a text/],
    [{ tenant: null }, /tenant must be a text/],
    [{ tenant: 'a\nb' }, /control characters/],
    [{ tenant: 'a\u0000' }, /control characters/],
    [{ tenant: 'x'.repeat(1012) }, /1024 bytes/],
    [{ tenant: '😀'.repeat(254) }, /1024 bytes/],
  ]
  for (const [claims, reason] of wrong) {
    const answers = [
      await admin('PUT', `/users/${id}/claims`, { json: { claims } }),
      await admin('POST', '/users', { json: { username: 'eve', password: PASSWORD, claims } }),
    ]
    for (const { status, body } of answers) {
      t.match({ status, body }, { status: 400, body: { error_description: reason } }, JSON.stringify(claims))
    }
    if (claims === null) continue
    const line = JSON.stringify({
      username: 'bob',
      password_hash: '$2b$04$abcdefghijklmnopqrstuu7EJV7kdjBBQxyb0HjTh9KS7.Lah/6CG',
      claims,
    })
    const ran = await latchkey(['users', 'import', '-'], operatorEnvironment(env), line)
    t.match(ran, { code: 1, stderr: /claims/ }, `import ${JSON.stringify(claims)}`)
  }
  const largest = { tenant: 'x'.repeat(1024 - '{"tenant":""}'.length) }
  t.equal((await admin('PUT', `/users/${id}/claims`, { json: { claims: largest } })).status, 204)
  const { access_token } = await api.tokens('ada', PASSWORD)
  t.match((await api.introspect(access_token)).body, largest)
  const unknown = await admin('PUT', `/users/${UNKNOWN_USER_ID}/claims`, { json: { claims: {} } })
  t.equal(unknown.status, 404)
})

test('ACCOUNT_CLAIMS names no claim that tokens use', async (t) => {
  for (const text of ['sub', 'email,roles', 'act', 'auth_time', 'email,,plan', 'email,email', '7', 'a b', 'username']) {
    t.throws(() => readConfig({ ACCOUNT_CLAIMS: text }), /ACCOUNT_CLAIMS: /, text)
  }
})
