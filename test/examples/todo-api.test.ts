import { test } from 'tap'
import { type Answer, untilAvailable } from '../support/api.js'
import { countAcceptedLate } from '../support/eventually.js'
import { PASSWORD } from '../support/service.js'
import { startTodo } from '../support/todo-service.js'

for (const [store, mode] of [
  ['sqlite', 'introspecting'],
  ['redis', 'following'],
] as const) {
  test(`todo service, ${mode}: an ended session has no access from the next request on`, async (t) => {
    const { api, tokenService } = await startTodo(t, store)
    await tokenService.api.signUp('ada', PASSWORD)
    const ended = await tokenService.api.tokens('ada', PASSWORD)
    const living = await tokenService.api.tokens('ada', PASSWORD)
    // On a busy machine a store may exceed its timeout.
    const list = (bearer: string) => untilAvailable(() => api.call('/todos', { bearer }))
    t.equal((await list(ended.access_token)).status, 200)

    t.equal((await tokenService.api.logout(ended.refresh_token)).status, 204)

    const ask = () => api.call('/todos', { bearer: ended.access_token })
    // A follower reads the revocation from Redis within milliseconds, and within a second at the latest.
    if (store === 'redis') t.equal(await countAcceptedLate(async () => (await ask()).status !== 200), 0)
    const answer = await list(ended.access_token)
    t.equal(answer.status, 401)
    t.match(answer.headers['www-authenticate'], /^Bearer/)
    t.equal(answer.body.error, 'invalid_token')
    t.equal((await list(living.access_token)).status, 200)
  })
}

test('todo service: a caller without a valid token for this audience gets nothing', async (t) => {
  const { api, tokenService } = await startTodo(t, 'sqlite', { AUDIENCE: 'todo,another' })
  await tokenService.api.signUp('ada', PASSWORD)
  const forAnother = await tokenService.api.tokens('ada', PASSWORD, { audience: 'another' })
  const forUs = await tokenService.api.tokens('ada', PASSWORD)

  for (const bearer of [undefined, 'nonsense', forAnother.access_token, forUs.refresh_token]) {
    for (const [method, path] of [
      ['GET', '/todos'],
      ['POST', '/todos'],
      ['PATCH', '/todos/1'],
      ['DELETE', '/todos/1'],
    ] as const) {
      const answer = await api.call(path, { method, ...(bearer !== undefined && { bearer }) })
      t.equal(answer.status, 401, `${method} ${path}`)
      t.match(answer.headers['www-authenticate'], /^Bearer/)
    }
  }
})

test('todo service: a user sees only their own list', async (t) => {
  const { api, tokenService } = await startTodo(t, 'sqlite')
  await tokenService.api.signUp('ada', PASSWORD)
  await tokenService.api.signUp('grace', PASSWORD)
  const ada = { bearer: (await tokenService.api.tokens('ada', PASSWORD)).access_token }
  const grace = { bearer: (await tokenService.api.tokens('grace', PASSWORD)).access_token }

  const added = await api.call('/todos', { ...ada, json: { text: '  write it down ' } })
  t.equal(added.status, 201)
  t.match(added.body, { id: String, text: 'write it down', done: false, created_at: Number })

  t.strictSame((await api.call('/todos', grace)).body, { todos: [] })
  const stolen = await api.call(`/todos/${added.body.id}`, { ...grace, method: 'PATCH', json: { done: true } })
  t.equal(stolen.status, 404)
  t.equal((await api.call(`/todos/${added.body.id}`, { ...grace, method: 'DELETE' })).status, 204)
  t.strictSame((await api.call('/todos', ada)).body, { todos: [added.body] })

  const changed = await api.call(`/todos/${added.body.id}`, { ...ada, method: 'PATCH', json: { done: true } })
  t.strictSame(changed.body, { ...added.body, done: true })
  t.equal((await api.call(`/todos/${added.body.id}`, { ...ada, method: 'DELETE' })).status, 204)
  t.strictSame((await api.call('/todos', ada)).body, { todos: [] })
})

test('todo service: an unchanged list is an empty 304', async (t) => {
  const { api, tokenService } = await startTodo(t, 'sqlite')
  await tokenService.api.signUp('ada', PASSWORD)
  const bearer = (await tokenService.api.tokens('ada', PASSWORD)).access_token
  await api.call('/todos', { bearer, json: { text: 'write it down' } })
  const first = await api.call('/todos', { bearer })
  const ask = () => api.call('/todos', { bearer, headers: { 'if-none-match': String(first.headers.etag) } })

  const same = await ask()
  await api.call('/todos', { bearer, json: { text: 'and this' } })
  const changed = await ask()

  t.equal(same.status, 304)
  t.equal(same.text, '')
  t.equal(changed.status, 200)
  t.equal(changed.body.todos.length, 2)
})

test('todo service: an invalid todo is refused with the reason, and no value is coerced', async (t) => {
  const { api, tokenService } = await startTodo(t, 'sqlite')
  await tokenService.api.signUp('ada', PASSWORD)
  const bearer = (await tokenService.api.tokens('ada', PASSWORD)).access_token

  for (const json of [{}, { text: '' }, { text: ' ' }, { text: 7 }, { text: 'x'.repeat(501) }, [], null]) {
    const answer = await api.call('/todos', { bearer, json })
    t.equal(answer.status, 400, JSON.stringify(json))
    t.equal(answer.body.error, 'invalid_request')
    t.notMatch(answer.text, /FST_|at .*\.js/)
  }
  t.equal((await api.call('/todos', { bearer, json: { text: 'x'.repeat(20_000) } })).status, 413)
  t.equal((await api.call('/todos', { bearer, raw: 'text=a', method: 'POST' })).status, 415)
  t.equal((await api.call('/nothing', { bearer })).status, 404)
  t.strictSame((await api.call('/todos', { bearer })).body, { todos: [] })
})

test('todo service: a list holds at most 500 todos, and the 501st gets an error that says so', async (t) => {
  const { api, tokenService } = await startTodo(t, 'redis')
  await tokenService.api.signUp('ada', PASSWORD)
  const bearer = (await tokenService.api.tokens('ada', PASSWORD)).access_token
  const add = () => api.call('/todos', { bearer, json: { text: 'again' } })

  let answers: Answer[]
  do answers = await Promise.all(Array.from({ length: 30 }, add))
  while (answers.every(({ status }) => status !== 409))

  const full = answers.find(({ status }) => status === 409)
  t.match(full?.body, { error: 'list_full', error_description: /500/ })
  t.equal((await api.call('/todos', { bearer })).body.todos.length, 500)
})

test('todo service: while the token service is down, the answer is 503 and nobody is signed out', async (t) => {
  const { api, tokenService } = await startTodo(t, 'sqlite')
  await tokenService.api.signUp('ada', PASSWORD)
  const bearer = (await tokenService.api.tokens('ada', PASSWORD)).access_token
  await tokenService.close()

  const answers = [await api.call('/todos', { bearer }), await api.call('/auth/sessions', { bearer })]

  for (const { status, headers, body } of answers) {
    t.equal(status, 503)
    t.equal(body.error, 'temporarily_unavailable')
    t.ok(headers['retry-after'])
  }
})

test('todo service: /auth forwards only the routes that the page needs', async (t) => {
  const { api } = await startTodo(t, 'sqlite')
  t.equal((await api.call('/auth/users', { json: { username: 'ada', password: PASSWORD } })).status, 201)
  const login = await api.call('/auth/login', {
    json: { username: 'ada', password: PASSWORD, device_name: 'phone' },
    headers: { 'x-forwarded-for': '203.0.113.7', 'user-agent': 'a phone' },
  })
  t.equal(login.status, 200)
  t.equal(login.headers['cache-control'], 'no-store')
  const bearer = login.body.access_token

  const { body } = await api.call('/auth/sessions', { bearer })
  // The proxy sends the address of the caller, and never the address that the caller claims.
  t.match(body, { sessions: [{ device_name: 'phone', user_agent: 'a phone', ip: '127.0.0.1', current: true }] })

  for (const path of [
    '/auth/introspect',
    '/auth/token',
    '/auth/admin/users',
    '/auth/openapi.json',
    '/auth/',
    '/auth',
  ]) {
    t.equal((await api.call(path, { bearer })).status, 404, path)
    t.equal((await api.call(path, { bearer, form: { token: bearer } })).status, 404, path)
  }
  for (const sid of ['..', '%2e%2e', '%2e%2e%2fopenapi.json', 'a%2f..%2f..']) {
    t.notMatch((await api.call(`/auth/sessions/${sid}`, { bearer, method: 'DELETE' })).status, /^2/, sid)
  }

  const refused = await api.call('/auth/login', { json: { username: 'ada', password: 'not the right one' } })
  t.equal(refused.status, 401)
  t.match(refused.headers['www-authenticate'], /^Bearer/)
  t.equal((await api.call('/auth/sessions?except=current', { bearer, method: 'DELETE' })).status, 204)
  t.equal((await api.call('/auth/logout', { bearer, method: 'POST' })).status, 204)
  t.equal((await api.call('/auth/sessions', { bearer })).status, 401)
})

test('todo service: the page has a strict content security policy', async (t) => {
  const { api } = await startTodo(t, 'sqlite')

  const { headers, text } = await api.call('/')

  const policy = String(headers['content-security-policy'])
  t.match(policy, /default-src 'none'.*script-src 'self'.*require-trusted-types-for 'script'/)
  t.notMatch(policy, /unsafe|\*|https?:/)
  t.equal(headers['x-content-type-options'], 'nosniff')
  t.equal(headers['referrer-policy'], 'no-referrer')
  // The policy would block an inline script, style or handler, and a resource of another host.
  t.notMatch(text, /<script(?![^>]* src=)|<style|style=| on[a-z]+=|https?:\/\//)
})
