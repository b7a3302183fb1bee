import { test } from 'tap'
import { type Api, basicAuthorization, type Call } from '../support/api.js'
import { routesWithBody } from '../support/documented-routes.js'
import { anyStore, PASSWORD, startService } from '../support/service.js'

const NEXT = 'a quite different pass phrase'

for (const store of anyStore) {
  for (const kind of ['json', 'form'] as const) {
    test(`${store}: from sign-up to the deletion of the account, each body may be ${kind}`, async (t) => {
      const { api } = await startService(t, store)
      const authorization = basicAuthorization(api.client).authorization
      const send = (path: string, fields: Record<string, string>, call: Call = {}) =>
        api.call(path, { method: 'POST', ...call, [kind]: fields })
      const login = async () => (await send('/login', { username: 'ada', password: PASSWORD, scope: 'a b' })).body

      t.equal((await send('/users', { username: 'ada', password: PASSWORD })).status, 201)
      const one = await login()
      const { status, body: two } = await send('/refresh', {
        refresh_token: one.refresh_token,
        grant_type: 'refresh_token',
      })
      t.match({ status, scope: two.scope, sid: two.sid }, { status: 200, scope: 'a b', sid: one.sid })
      const client = { headers: { authorization } }
      t.match((await send('/introspect', { token: two.access_token }, client)).body, { active: true, scope: 'a b' })
      t.equal((await send('/logout', { token: two.access_token })).status, 204)
      t.strictSame((await send('/introspect', { token: two.access_token }, client)).body, { active: false })
      t.equal((await send('/revoke', { token: (await login()).refresh_token })).status, 200)
      t.equal((await send('/token', { grant_type: 'client_credentials' }, client)).status, 200)
      t.equal((await send('/logout-all', { token: (await login()).refresh_token })).status, 204)

      const { access_token: bearer } = await login()
      const change = { current_password: PASSWORD, new_password: NEXT }
      t.equal((await send('/users/me/password', change, { bearer })).status, 204)
      t.equal((await send('/users/me', { password: NEXT }, { method: 'DELETE', bearer })).status, 204)
      t.equal((await send('/login', { username: 'ada', password: NEXT })).status, 401)
    })
  }

  test(`${store}: every route with a body reads it as JSON and as a form`, async (t) => {
    const { api } = await startService(t, store, { DOCS: 'on' })
    const headers = basicAuthorization(api.client)
    for (const { name, method, path } of await routesWithBody(api)) {
      const asJson = await api.call(path, { method, json: { x: '1' }, headers })
      const asForm = await api.call(path, { method, form: { x: '1' }, headers })
      t.not(asForm.status, 415, name)
      t.strictSame([asForm.status, asForm.body], [asJson.status, asJson.body], name)
    }
  })

  test(`${store}: every refusal is JSON with error and error_description, and shows nothing internal`, async (t) => {
    const { api } = await startService(t, store)
    await api.signUp('ada', PASSWORD)
    const { access_token: bearer } = await api.tokens('ada', PASSWORD)
    const answers = await badRequests(api, bearer)
    const statuses = new Set<number>()
    for (const { name, answer } of answers) {
      statuses.add(answer.status)
      t.ok(answer.status >= 400 && answer.status < 500, `${name}: ${answer.status}`)
      t.equal(answer.headers['content-type'], 'application/json; charset=utf-8', name)
      t.equal(answer.headers['cache-control'], 'no-store', name)
      t.strictSame(Object.keys(answer.body).sort(), ['error', 'error_description'], name)
      t.match(answer.body, { error: /^[a-z_]+$/, error_description: /^[^\n]{5,200}$/ }, name)
      const whole = JSON.stringify(answer.headers) + answer.text
      t.notMatch(
        whole,
        /FST_|ajv|fastify|node_modules|at .*:\d+:\d+|SQLITE|postgres|redis|ioredis|kysely|express/i,
        name,
      )
      if (answer.status === 401) t.match(answer.headers['www-authenticate'], /^(Bearer|Basic) realm="latchkey"/, name)
    }
    t.strictSame([...statuses].sort(), [400, 401, 404, 405, 409, 413, 415])
  })

  test(`${store}: an answer carries a valid request id of the caller`, async (t) => {
    const { api } = await startService(t, store)
    const idOf = async (id: string) =>
      (await api.call('/login', { headers: { 'x-request-id': id } })).headers['x-request-id']
    t.equal(await idOf('trace-1.2:3_4'), 'trace-1.2:3_4')
    for (const id of ['', 'a b', 'a"b', '<script>', 'x'.repeat(129)]) t.match(await idOf(id), /^[\w-]{12}-\d+$/, id)
  })
}

/** Sends every kind of bad request. */
async function badRequests(api: Api, bearer: string) {
  const calls: [string, string, Call][] = [
    ['POST', '/users', { json: { username: 'ada', password: PASSWORD } }],
    ['GET', '/nope', {}],
    ['GET', '/%zz', {}],
    ['PUT', '/login', {}],
    ['GET', `/login?token=${bearer}`, {}],
    ['POST', '/login', { json: { username: 'ada', password: 'wrong, and refused' } }],
    ['GET', '/sessions', {}],
    ['GET', '/sessions', { bearer: 'x' }],
    ['GET', '/sessions', { headers: { authorization: 'Basic x' } }],
    ['DELETE', '/sessions', { bearer }],
    ['DELETE', '/sessions/%00', { bearer }],
    ['POST', '/token', { form: { grant_type: 'password' }, headers: { authorization: 'Basic x' } }],
    [
      'POST',
      '/token',
      { form: { grant_type: 'password', client_id: api.client.id, client_secret: api.client.secret } },
    ],
    ['POST', '/refresh', { json: { refresh_token: bearer } }],
    ['POST', '/refresh', { json: { refresh_token: 'x' }, headers: { authorization: 'Bearer a b' } }],
    ['POST', '/refresh', { json: { refresh_token: 'x', grant_type: 'password' } }],
    ['POST', '/logout', { bearer: 'x', json: { token: 'y' } }],
    ['GET', '/verify', {}],
  ]
  for (const path of ['/users', '/login', '/refresh', '/introspect', '/revoke', '/token', '/logout', '/logout-all']) {
    calls.push(
      ['POST', path, { json: [] }],
      ['POST', path, { json: 'text' }],
      ['POST', path, { json: 5 }],
      ['POST', path, { json: { username: {}, password: [], token: {}, refresh_token: 5, grant_type: true } }],
      ['POST', path, { raw: '{"a":', headers: { 'content-type': 'application/json' } }],
      ['POST', path, { raw: '\u0000', headers: { 'content-type': 'application/json' } }],
      ['POST', path, { raw: 'a=1&a=2', headers: { 'content-type': 'application/x-www-form-urlencoded' } }],
      ['POST', path, { raw: '<a/>', headers: { 'content-type': 'application/xml' } }],
      ['POST', path, { raw: ' '.repeat(20_000), headers: { 'content-type': 'application/json' } }],
    )
    if (path !== '/users' && path !== '/login') continue
    calls.push(['POST', path, {}], ['POST', path, { json: { username: '', password: '' } }])
  }
  return Promise.all(
    calls.map(async ([method, path, call], i) => ({
      name: `${i}: ${method} ${path.slice(0, 30)}`,
      answer: await api.call(path, { method, ...call }),
    })),
  )
}
