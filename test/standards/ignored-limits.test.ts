import { readFileSync } from 'node:fs'
import { type Test, test } from 'tap'
import { basicAuthorization } from '../support/api.js'
import { createClient } from '../support/clients.js'
import { claimsOf } from '../support/decode.js'
import { PASSWORD, startService, stores } from '../support/service.js'

/** Parameters with which standards limit a token, and which this service refuses: a value of each, and the error. */
const UNSUPPORTED: Record<string, [value: unknown, error: string]> = {
  authorization_details: ['[{"type":"payment","actions":["read"]}]', 'invalid_authorization_details'],
  dpop_jkt: ['NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs', 'invalid_request'],
  cnf: ['{"jkt":"x"}', 'invalid_request'],
  req_cnf: ['e30', 'invalid_request'],
  subject_token: ['x', 'invalid_request'],
  subject_token_type: ['urn:ietf:params:oauth:token-type:access_token', 'invalid_request'],
  actor_token: ['x', 'invalid_request'],
  actor_token_type: ['urn:ietf:params:oauth:token-type:access_token', 'invalid_request'],
  requested_token_type: ['urn:ietf:params:oauth:token-type:jwt', 'invalid_request'],
  claims: ['{"id_token":{"acr":{"essential":true,"value":"2"}}}', 'invalid_request'],
  acr_values: ['2', 'unmet_authentication_requirements'],
  request: ['eyJ.e30.', 'request_not_supported'],
  request_uri: ['urn:x', 'request_uri_not_supported'],
}

/** Misspelled names of supported parameters. */
const MISSPELT = [
  'scopes',
  'Scope',
  'SCOPE',
  'scope[]',
  'scopes[0]',
  ' scope',
  'amp;scope',
  'aud',
  'auds',
  'Audience',
  'audiences',
  'audience[]',
  'resources',
  'Resource',
]

async function start(t: Test) {
  const { api, env, audited } = await startService(t, 'sqlite', { AUDIENCE: 'web,todo' })
  const client = await createClient(env, 'backend', { scopes: ['todo:read', 'todo:write'] })
  await api.signUp('ada', PASSWORD)
  const { refresh_token } = await api.tokens('ada', PASSWORD, { scope: 'todo:read todo:write' })
  const requests: Record<string, { path: string; form: Record<string, string>; headers: Record<string, string> }> = {
    'POST /login': { path: '/login', form: { username: 'ada', password: PASSWORD }, headers: {} },
    'POST /refresh': { path: '/refresh', form: { refresh_token }, headers: {} },
    'POST /token, client_credentials': {
      path: '/token',
      form: { grant_type: 'client_credentials' },
      headers: basicAuthorization(client),
    },
    'POST /token, refresh_token': {
      path: '/token',
      form: { grant_type: 'refresh_token', refresh_token },
      headers: basicAuthorization(client),
    },
  }
  return { api, env, audited, requests: Object.entries(requests) }
}

test('a restriction that a standard defines and this service does not support is refused at every token endpoint', async (t) => {
  const { api, audited, requests } = await start(t)
  for (const [name, { path, form, headers }] of requests) {
    for (const [parameter, [value, error]] of Object.entries(UNSUPPORTED)) {
      for (const body of [
        { form: { ...form, [parameter]: String(value) } },
        { json: { ...form, [parameter]: value } },
      ]) {
        const answer = await api.call(path, { ...body, headers })
        t.match(answer, { status: 400, body: { error } }, `${name}: ${parameter}`)
        t.match(answer.body.error_description, parameter)
        t.notOk('access_token' in answer.body)
      }
    }
    const proof = await api.call(path, { form, headers: { ...headers, DPoP: 'eyJ.e30.x' } })
    t.match(proof, { status: 400, body: { error: 'invalid_request', error_description: /DPoP/ } }, name)
  }
  t.equal(audited('refresh.rotated').length, 0, 'no refresh token was spent')
  t.equal(audited('login.accepted').length, 1, 'and nobody was signed in')
})

test('a restriction under a misspelled name or in the address is refused, never ignored', async (t) => {
  const { api, audited, requests } = await start(t)
  for (const [name, { path, form, headers }] of requests) {
    for (const parameter of MISSPELT) {
      const answer = await api.call(path, { json: { ...form, [parameter]: 'todo:read' }, headers })
      t.match(answer, { status: 400, body: { error: 'invalid_request' } }, `${name}: ${parameter}`)
      t.match(answer.body.error_description, /: write (scope|audience|resource)$/)
    }
    for (const parameter of ['scope', 'audience', 'resource', 'scopes', 'claims']) {
      const answer = await api.call(`${path}?${parameter}=todo`, { form, headers })
      t.match(answer, { status: 400, body: { error: 'invalid_request' } }, `${name}: ?${parameter}`)
      t.match(answer.body.error_description, /must not be in the address: send it in the body$/)
    }
  }
  t.equal(audited('refresh.rotated').length, 0)
  for (const [name, { path, form, headers }] of requests) {
    const more = {
      nonce: 'a',
      state: 'b',
      max_age: '0',
      scoping: 'c',
      role: 'd',
      auditor: 'e',
      __x: 'f',
      login_hint: 'g',
    }
    const answer = await api.call(`${path}?x=y&role=z`, { form: { ...form, ...more }, headers })
    t.equal(answer.status, 200, `${name}: what is not known, and limits nothing, is ignored (RFC 6749 §3.2)`)
  }
})

test('an assertion that cannot be verified is refused, never treated as no credentials', async (t) => {
  const { api } = await start(t)
  const assertion = {
    client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    client_assertion: 'eyJhbGciOiJFUzI1NiJ9.e30.x',
  }
  const refused = { status: 401, body: { error: 'invalid_client' } }
  const { access_token: token } = await api.tokens('ada', PASSWORD)
  // A session without a client: every client could refresh it.
  t.match(await api.call('/login', { form: { username: 'ada', password: PASSWORD, ...assertion } }), refused)
  t.match(await api.call('/token', { form: { grant_type: 'client_credentials', ...assertion } }), refused)
  t.match(await api.call('/introspect', { form: { token, ...assertion } }), refused)
  t.match(await api.call('/revoke', { form: { token, ...assertion } }), refused)
  t.equal(await api.isActive(token), true)
})

for (const store of stores) {
  test(`${store}: a refresh may ask for a part of the session's scope, and not for another audience (RFC 6749 §6)`, async (t) => {
    const { api, env, audited } = await startService(t, store, { AUDIENCE: 'web,todo' })
    const client = await createClient(env, 'backend')
    await api.signUp('ada', PASSWORD)
    const begun = await api.tokens('ada', PASSWORD, { scope: 'todo:read todo:write', audience: 'todo' })
    const asks = {
      '/refresh': (refresh_token: string, more: object) => api.call('/refresh', { json: { refresh_token, ...more } }),
      '/token': (refresh_token: string, more: object) =>
        api.call('/token', {
          json: { grant_type: 'refresh_token', refresh_token, ...more },
          headers: basicAuthorization(client),
        }),
    }
    let { refresh_token } = begun
    for (const [path, ask] of Object.entries(asks)) {
      for (const [more, error] of [
        [{ scope: 'todo:read admin' }, 'invalid_scope'],
        [{ scope: 'todo' }, 'invalid_scope'],
        [{ audience: 'web' }, 'invalid_target'],
        [{ audience: 'http://latchkey.test' }, 'invalid_target'],
        [{ audience: 'web', scope: 'todo:read' }, 'invalid_target'],
        [{ scope: 'a"b' }, 'invalid_request'],
      ] as const) {
        t.match(await ask(refresh_token, more), { status: 400, body: { error } }, `${path} ${JSON.stringify(more)}`)
      }
      t.equal(audited('refresh.rotated').length, path === '/refresh' ? 0 : 3, 'the token is not spent')

      for (const [more, scope] of [
        [{ scope: 'todo:read' }, 'todo:read'],
        [{ scope: '' }, ''],
        [{ audience: 'todo' }, 'todo:read todo:write'],
      ] as const) {
        const before = refresh_token
        const { body } = await ask(before, more)
        t.equal(body.scope, scope, `${path} ${JSON.stringify(more)}`)
        t.match(claimsOf(body.access_token), { scope, aud: 'todo' })
        t.equal((await api.introspect(body.access_token)).body.scope, scope)
        const retried = (await ask(before, more)).body
        t.match(retried, { scope, refresh_token: body.refresh_token }, 'a retry gets the same')
        refresh_token = body.refresh_token
      }
    }
    const whole = (await api.refresh(refresh_token)).body
    t.equal(whole.scope, 'todo:read todo:write', 'the session keeps all of its scope')

    const theirs = await api.call('/login', {
      form: { username: 'ada', password: PASSWORD },
      headers: basicAuthorization(client),
    })
    const unknown = await api.call('/refresh', { json: { refresh_token: theirs.body.refresh_token, scope: 'x' } })
    t.match(
      unknown,
      { status: 400, body: { error: 'invalid_grant' } },
      "nothing is said of a client's session to others",
    )
  })
}

test("the refused restrictions are those of the threat model's table", async (t) => {
  const page = readFileSync(new URL('../../../docs/threat-model.md', import.meta.url), 'utf8')
  const listed = [...page.matchAll(/^\| (`[a-z_`, ]+`)[^|]*\| [^|]*\| `([a-z_]+)` \|$/gm)].flatMap(
    ([, names = '', error]) => [...names.matchAll(/`([a-z_]+)`/g)].map(([, name]) => [name, error]),
  )
  t.strictSame(
    Object.fromEntries(listed),
    Object.fromEntries(Object.entries(UNSUPPORTED).map(([name, [, error]]) => [name, error])),
  )
})
