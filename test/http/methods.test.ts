import { METHODS } from 'node:http'
import { type Test, test } from 'tap'
import { routesForCallers } from '../support/documented-routes.js'
import { anyStore, PASSWORD, type Store, startService } from '../support/service.js'

const KNOWN = ['DELETE', 'GET', 'HEAD', 'OPTIONS', 'PATCH', 'POST', 'PUT', 'QUERY', 'TRACE']

for (const store of anyStore) test(`${store}: methods and addresses`, (t) => checkMethods(t, store))

async function checkMethods(t: Test, store: Store): Promise<void> {
  const { api } = await startService(t, store, { DOCS: 'on' })

  await t.test('H14: on every route an unsupported method gets 405 with Allow, and an unknown one 501', async (t) => {
    const routes = await routesForCallers(api)
    for (const path of new Set(routes.map((route) => route.path))) {
      const own = routes.filter((route) => route.path === path).map(({ method }) => method)
      const allowed = [...own, ...(own.includes('GET') ? ['HEAD'] : [])].sort()
      // CONNECT does not address a resource: Node closes the connection.
      const others = METHODS.filter((method) => method !== 'CONNECT' && !allowed.includes(method))
      const answers = await Promise.all(others.map((method) => api.call(path, { method })))
      for (const [i, { status, headers, body }] of answers.entries()) {
        const isKnown = KNOWN.includes(others[i] as string)
        const isRight =
          status === (isKnown ? 405 : 501) &&
          headers.allow === (isKnown ? allowed.join(', ') : undefined) &&
          headers['content-type'] === 'application/json; charset=utf-8' &&
          (others[i] === 'HEAD' || (body.error === 'invalid_request' && typeof body.error_description === 'string'))
        if (!isRight) t.fail(`${others[i]} ${path} answered ${status} ${headers.allow}`)
      }
      t.ok(answers.length > 25, path)
    }
  })

  await t.test('H14: the OpenAPI document and its page also answer 405 with Allow', async (t) => {
    for (const path of ['/docs', '/docs/', '/docs/json', '/docs/static/swagger-ui.css', '/openapi.json']) {
      t.equal((await api.call(path)).status, 200, path)
      for (const method of ['POST', 'PUT', 'DELETE', 'TRACE']) {
        t.match(await api.call(path, { method }), {
          status: 405,
          headers: { allow: 'GET, HEAD' },
          body: { error: 'invalid_request' },
        })
      }
    }
  })

  await t.test('H14: an unsupported method gets 405 whatever its body is', async (t) => {
    for (const [raw, type] of [
      ['{', 'application/json'],
      ['a=1&a=2', 'application/x-www-form-urlencoded'],
      ['x', 'text/plain'],
    ] as const) {
      const { status } = await api.call('/login', { method: 'PUT', raw, headers: { 'content-type': type } })
      t.equal(status, 405, type)
    }
  })

  await t.test('H14: a secret in the address gets 400 on every route, and has no effect', async (t) => {
    await api.signUp('ada', PASSWORD)
    const { access_token, refresh_token } = await api.tokens('ada', PASSWORD)
    for (const { method, path } of await routesForCallers(api)) {
      for (const [name, value] of [
        ['token', access_token],
        ['access_token', access_token],
        ['refresh_token', refresh_token],
        ['password', PASSWORD],
        ['new_password', PASSWORD],
        ['client_secret', 'x'],
        ['token', ''],
        ['%74oken', access_token],
      ] as const) {
        const { status, body, text } = await api.call(`${path}?${name}=${encodeURIComponent(value)}`, { method })
        t.match({ status, error: body.error }, { status: 400, error: 'invalid_request' }, `${method} ${path}?${name}`)
        if (value !== '' && value !== 'x') t.notMatch(text, value, 'and is not repeated')
      }
    }
    t.equal(await api.isActive(access_token), true)
    t.equal((await api.refresh(refresh_token)).status, 200)
  })

  await t.test('an unknown address gets 404 and an unknown method gets 501, in the same form', async (t) => {
    const unknownMethod = await api.call('/nope', { method: 'PROPFIND' })
    t.match(unknownMethod, { status: 501, body: { error: 'invalid_request', error_description: String } })
    for (const path of ['/nope', '/login/', '/Login', '/users/1', '/users/me/', '/.env', '/livez', '/metrics']) {
      const { status, headers, body } = await api.call(path)
      t.match({ status, body }, { status: 404, body: { error: 'not_found', error_description: String } }, path)
      t.equal(headers['content-type'], 'application/json; charset=utf-8')
    }
  })
}
