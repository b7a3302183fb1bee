import { type Test, test } from 'tap'
import { ACCESS_TOKEN_TYPE, TOKEN_EXCHANGE } from '../../schemas/token.js'
import { adminClient } from '../support/admin-client.js'
import { basicAuthorization } from '../support/api.js'
import { createClient } from '../support/clients.js'
import { claimsOf } from '../support/decode.js'
import { presentAtEveryEndpoint, refusedAnswers } from '../support/endpoints.js'
import { exchange } from '../support/exchange.js'
import { unixSeconds as now, withClaims } from '../support/gateways/tokens.js'
import { scrape } from '../support/scrape.js'
import { PASSWORD, type Store, startService, stores } from '../support/service.js'

const ISSUER = 'http://latchkey.test'

/** A person with a role, a gateway that they call, and the services behind it. */
async function start(t: Test, store: Store) {
  const service = await startService(t, store, { AUDIENCE: 'web,todo,bills,mail' })
  const { api, env } = service
  const user = { username: 'ada', password: PASSWORD, roles: ['editor'] }
  await adminClient(api)('POST', '/users', { json: user })
  const gateway = await createClient(env, 'gateway', { exchangeAudiences: ['todo', 'bills', 'elsewhere'] })
  const todo = await createClient(env, 'todo-api', { audiences: ['todo'], exchangeAudiences: ['bills', 'todo'] })
  const signIn = () => api.tokens('ada', PASSWORD, { scope: 'todo:read todo:write' })
  return { ...service, gateway, todo, signIn }
}

for (const store of stores) {
  test(`${store}: a gateway exchanges a person's token for a narrow one, which ends with the person's session`, async (t) => {
    const { api, gateway, todo, signIn, audited, managementUrl } = await start(t, store)
    const person = await signIn()
    const subject = claimsOf(person.access_token)

    const first = await exchange(api, gateway, person.access_token, { audience: 'todo', scope: 'todo:read' })
    t.match(first, { status: 200, headers: { 'cache-control': 'no-store' } })
    const { access_token: narrow, expires_in, ...answer } = first.body
    t.strictSame(answer, { issued_token_type: ACCESS_TOKEN_TYPE, token_type: 'Bearer', scope: 'todo:read' })
    const claims = claimsOf(narrow)
    t.strictSame(
      { ...claims, iat: 0, jti: '' },
      { ...subject, aud: 'todo', client_id: 'gateway', scope: 'todo:read', act: { sub: 'gateway' }, iat: 0, jti: '' },
      'the person, the session and the roles are those of the subject token',
    )
    t.ok(claims.exp <= subject.exp && expires_in <= subject.exp - claims.iat)
    t.not(claims.jti, subject.jti)

    const { body: second } = await exchange(api, todo, narrow, { resource: 'bills' })
    const act = { sub: 'todo-api', act: { sub: 'gateway' } }
    t.match(claimsOf(second.access_token), { aud: 'bills', scope: 'todo:read', client_id: 'todo-api', act })
    const { body: told } = await api.introspect(second.access_token)
    t.match(told, { active: true, username: 'ada', sid: person.sid, roles: ['editor'], client_id: 'todo-api' })
    t.strictSame(told.act, act)
    t.match(await api.call('/verify?aud=bills', { bearer: second.access_token }), {
      status: 200,
      headers: { 'x-auth-sub': subject.sub, 'x-auth-client-id': 'todo-api', 'x-auth-act': 'todo-api gateway' },
    })
    t.equal((await api.call('/verify?aud=todo', { bearer: second.access_token })).status, 403)
    t.equal((await api.call('/verify', { bearer: person.access_token })).headers['x-auth-act'], '', 'always there')

    const { sub, sid } = subject
    t.match(audited('token.exchanged'), [
      { sub, sid, actors: ['gateway'], audience: 'todo' },
      { sub, sid, actors: ['todo-api', 'gateway'], audience: 'bills' },
    ])
    const metrics = await scrape(managementUrl)
    t.equal(metrics.value('latchkey_token_exchanges_total', { outcome: 'exchanged' }), 2)
    t.equal(metrics.value('latchkey_token_exchanges_total', { outcome: 'other_audience' }), 0)

    t.equal((await api.logout(person.access_token)).status, 204)
    for (const token of [narrow, second.access_token]) {
      const outcome = await presentAtEveryEndpoint(api, token)
      t.strictSame(outcome, refusedAnswers)
    }
    t.match(await exchange(api, gateway, person.access_token, { audience: 'todo' }), { status: 400 })
  })

  test(`W8: ${store}: an exchange is never wider in scope, audience, roles and time`, async (t) => {
    const { api, gateway, todo, signIn, audited } = await start(t, store)
    const { access_token: broad } = await signIn()
    const narrow = (await exchange(api, gateway, broad, { audience: 'todo', scope: 'todo:read' })).body.access_token
    for (const [what, answer, error] of [
      [
        'more scope',
        await exchange(api, todo, narrow, { audience: 'bills', scope: 'todo:read todo:write' }),
        'invalid_scope',
      ],
      ['a reserved scope', await exchange(api, gateway, broad, { audience: 'todo', scope: 'admin' }), 'invalid_scope'],
      [
        'an audience that the client lacks',
        await exchange(api, gateway, broad, { audience: 'mail' }),
        'invalid_target',
      ],
      ['an audience that nobody has', await exchange(api, gateway, broad, { audience: 'elsewhere' }), 'invalid_target'],
      ['the service itself', await exchange(api, gateway, broad, { audience: ISSUER }), 'invalid_target'],
      ['two audiences', await exchange(api, gateway, broad, { audience: 'todo', resource: 'bills' }), 'invalid_target'],
      ['no audience', await exchange(api, gateway, broad, {}), 'invalid_target'],
    ] as const) {
      t.match(answer, { status: 400, body: { error } }, what)
      t.notOk('access_token' in answer.body)
    }
    t.match(await exchange(api, gateway, broad, { audience: 'todo', roles: 'admin', exp: '9999999999', ttl: '1d' }), {
      status: 200,
    })
    const again = claimsOf((await exchange(api, todo, narrow, { audience: 'todo' })).body.access_token)
    t.strictSame(again.roles, ['editor'])
    t.ok(again.exp <= claimsOf(narrow).exp && claimsOf(narrow).exp <= claimsOf(broad).exp)
    const late = withClaims(broad, { iat: now() - 800, exp: now() + 100 })
    const { body } = await exchange(api, gateway, late, { audience: 'todo' })
    t.equal(claimsOf(body.access_token).exp, claimsOf(late).exp, 'the end is that of the subject token')
    t.ok(body.expires_in <= 100)
    t.equal(again.scope, 'todo:read', 'without scope it is the scope of the subject token')
    t.strictSame(
      audited('token.exchange_refused').map(({ reason }) => reason),
      ['scope', 'scope', 'audience', 'audience', 'audience'],
    )
  })

  test(`W9: ${store}: only a live token of a person, for an audience of the client, is exchanged`, async (t) => {
    const { api, gateway, todo, signIn, audited } = await start(t, store)
    const [person, ended] = [await signIn(), await signIn()]
    await api.logout(ended.access_token)
    const form = { grant_type: 'client_credentials' }
    const own = (await api.call('/token', { form, headers: basicAuthorization(gateway) })).body.access_token
    const forMail = (await api.tokens('ada', PASSWORD, { audience: 'mail' })).access_token
    const forTodo = (await api.tokens('ada', PASSWORD, { audience: 'todo' })).access_token
    const refusal = { status: 400, body: { error: 'invalid_request' } }
    const texts = new Set<string>()
    for (const [reason, client, token] of [
      ['not_live', gateway, person.refresh_token],
      ['not_live', gateway, ended.access_token],
      ['not_live', gateway, `${person.access_token.slice(0, -4)}AAAA`],
      ['not_live', gateway, withClaims(person.access_token, { iat: now() - 600, exp: now() - 1 })],
      ['not_live', gateway, withClaims(person.access_token, { iss: 'http://elsewhere.test' })],
      ['not_live', gateway, 'x'],
      ['no_person', gateway, own],
      ['other_audience', gateway, forMail],
      ['other_audience', gateway, forTodo],
      ['other_audience', todo, person.access_token],
      ['other_audience', todo, forMail],
    ] as const) {
      const answer = await exchange(api, client, token, { audience: 'bills' })
      t.match(answer, refusal, `${reason} ${client.id}`)
      texts.add(answer.text)
      t.match(audited('token.exchange_refused').at(-1), { reason, client: client.id })
    }
    t.equal(texts.size, 1, 'the answer is the same for every fault')
    t.equal((await exchange(api, todo, forTodo, { audience: 'bills' })).status, 200)
  })

  test(`W10: ${store}: a chain of four clients may act for a person, and no fifth`, async (t) => {
    const { api, gateway, todo, signIn, audited } = await start(t, store)
    const { access_token: broad } = await signIn()
    let token = (await exchange(api, gateway, broad, { audience: 'todo' })).body.access_token
    for (const actors of [2, 3, 4]) {
      const { status, body } = await exchange(api, todo, token, { audience: 'todo' })
      t.equal(status, 200, `${actors} actors`)
      token = body.access_token
    }
    t.equal((await api.call('/verify', { bearer: token })).headers['x-auth-act'], 'todo-api todo-api todo-api gateway')
    t.equal(await api.isActive(token), true)
    const fifth = await exchange(api, todo, token, { audience: 'todo' })
    t.match(fifth, { status: 400, body: { error: 'invalid_request', error_description: /4 clients/ } })
    t.match(audited('token.exchange_refused').at(-1), { reason: 'too_many_actors' })
  })

  test(`${store}: an exchanged token for ISSUER or the default audience opens nothing of the person's own account`, async (t) => {
    const { api, env, signIn } = await start(t, store)
    const gateway = await createClient(env, 'edge', { exchangeAudiences: ['web', ISSUER] })
    const other = await signIn()
    for (const audience of ['web', ISSUER]) {
      const person = await signIn()
      const { access_token: bearer } = (await exchange(api, gateway, person.access_token, { audience })).body
      t.equal(await api.isActive(bearer), true)
      const answers = await Promise.all([
        api.call('/sessions', { bearer }),
        api.call(`/sessions/${other.sid}`, { method: 'DELETE', bearer }),
        api.call('/sessions?except=current', { method: 'DELETE', bearer }),
        api.call('/logout-all', { method: 'POST', bearer }),
        api.call('/users/me/password', { json: { current_password: PASSWORD, new_password: `${PASSWORD} 2` }, bearer }),
        api.call('/users/me', { method: 'DELETE', json: { password: PASSWORD }, bearer }),
        api.call('/login/step-up', { json: { password: PASSWORD }, bearer }),
        api.call('/login/passkey/options', { json: {}, bearer }),
        api.call('/users/me/factors', { bearer }),
        api.call('/users/me/factors/totp', { json: {}, bearer }),
        api.call('/admin/users', { bearer }),
        api.call('/introspect', { form: { token: bearer }, bearer }),
      ])
      t.strictSame(new Set(answers.map(({ status }) => status)), new Set([401]), audience)
      t.equal(await api.isActive(other.access_token), true)
      t.equal((await api.logout(bearer)).status, 204, 'as every token it ends its own session')
      t.equal(await api.isActive(person.access_token), false)
    }
  })
}

test('an exchange that is not one is refused, and says what to send', async (t) => {
  const { api, env, gateway, signIn, audited } = await start(t, 'sqlite')
  const { access_token: token } = await signIn()
  const ask = (parameters: Record<string, string>) => exchange(api, gateway, token, { audience: 'todo', ...parameters })
  const jwt = 'urn:ietf:params:oauth:token-type:jwt'
  for (const [parameters, error, said] of [
    [{ subject_token: '' }, 'invalid_request', /subject_token is missing/],
    [{ subject_token_type: '' }, 'invalid_request', /subject_token_type must be/],
    [{ subject_token_type: 'urn:ietf:params:oauth:token-type:refresh_token' }, 'invalid_request', /subject_token_type/],
    [{ subject_token_type: 'urn:ietf:params:oauth:token-type:id_token' }, 'invalid_request', /subject_token_type/],
    [{ requested_token_type: jwt }, 'invalid_request', /requested_token_type must be .*, or left out/],
    [{ actor_token: token }, 'invalid_request', /the client that authenticates is the actor/],
    [{ actor_token_type: ACCESS_TOKEN_TYPE }, 'invalid_request', /the client that authenticates is the actor/],
    [{ authorization_details: '[]' }, 'invalid_authorization_details', /authorization_details/],
    [{ scopes: 'todo:read' }, 'invalid_request', /write scope/],
  ] as const) {
    t.match(
      await ask(parameters),
      { status: 400, body: { error, error_description: said } },
      JSON.stringify(parameters),
    )
  }
  t.equal((await ask({ requested_token_type: ACCESS_TOKEN_TYPE })).status, 200)

  const backend = await createClient(env, 'backend', { scopes: ['introspect', 'admin'] })
  t.match(await exchange(api, backend, token, { audience: 'todo' }), {
    status: 400,
    body: { error: 'unauthorized_client', error_description: /exchange audiences/ },
  })
  t.match(audited('token.exchange_refused'), [{ reason: 'not_allowed', client: 'backend' }])
  const form = { grant_type: TOKEN_EXCHANGE, subject_token: token, subject_token_type: ACCESS_TOKEN_TYPE }
  t.match(await api.call('/token', { form: { ...form, audience: 'todo' } }), { status: 401 }, 'no credentials')
  t.match(
    await api.call('/token', {
      form: { ...form, audience: 'todo' },
      headers: basicAuthorization({ ...gateway, secret: 'wrong' }),
    }),
    { status: 401, body: { error: 'invalid_client' } },
  )
})

for (const store of stores) {
  test(`${store}: an administrator gives a client exchange audiences, changes them, and takes them away`, async (t) => {
    const { api, audited, signIn } = await start(t, store)
    const admin = adminClient(api)
    const made = await admin('POST', '/clients', { form: { id: 'edge', exchange_audiences: 'todo bills' } })
    t.equal(made.status, 201)
    t.strictSame(made.body.exchange_audiences, ['todo', 'bills'])
    t.strictSame(made.body.audiences, [])
    const { access_token: token } = await signIn()
    t.equal((await exchange(api, made.body, token, { audience: 'bills' })).status, 200)

    const changed = await admin('PATCH', '/clients/edge', { json: { exchange_audiences: ['todo'], scopes: ['a'] } })
    t.match(changed, { status: 200, body: { id: 'edge', scopes: ['a'] } })
    t.strictSame(changed.body.exchange_audiences, ['todo'])
    t.strictSame(changed.body.audiences, [])
    t.match(await exchange(api, made.body, token, { audience: 'bills' }), { body: { error: 'invalid_target' } })
    t.equal((await exchange(api, made.body, token, { audience: 'todo' })).status, 200)
    await admin('PATCH', '/clients/edge', { json: { exchange_audiences: [] } })
    t.match(await exchange(api, made.body, token, { audience: 'todo' }), { body: { error: 'unauthorized_client' } })
    const { body: emptied } = await admin('GET', '/clients/edge')
    t.strictSame(emptied.exchange_audiences, [])
    t.strictSame(emptied.scopes, ['a'])

    const by = api.client.id
    t.match(audited('client.created').at(-1), { client: 'edge', exchangeAudiences: ['todo', 'bills'], by })
    t.match(audited('client.updated'), [{ client: 'edge', exchangeAudiences: ['todo'], scopes: ['a'], by }, {}])
    t.equal((await admin('PATCH', '/clients/nobody', { json: { scopes: [] } })).status, 404)
    for (const [json, said] of [
      [{}, /nothing to change/],
      [{ exchange_audiences: ['ü'] }, /exchange_audiences\.0 has characters/],
      [{ exchange: ['todo'] }, /"exchange" is unknown/],
    ] as const) {
      t.match(await admin('PATCH', '/clients/edge', { json }), { status: 400, body: { error_description: said } })
    }
  })
}
