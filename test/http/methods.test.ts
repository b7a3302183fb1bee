import { METHODS } from 'node:http'
import { test } from 'tap'
import { anyStore, PASSWORD, startService } from '../support/service.js'

const KNOWN = ['DELETE', 'GET', 'HEAD', 'OPTIONS', 'PATCH', 'POST', 'PUT', 'QUERY', 'TRACE']
const ROUTES: [string, string[]][] = [
  ['/users', ['POST']],
  ['/users/me', ['DELETE']],
  ['/users/me/password', ['POST']],
  ['/login', ['POST']],
  ['/refresh', ['POST']],
  ['/logout', ['POST']],
  ['/logout-all', ['POST']],
  ['/sessions', ['DELETE', 'GET', 'HEAD']],
  ['/sessions/9f8Hn1VnTz2cUWl0q3yJ8A', ['DELETE']],
  ['/introspect', ['POST']],
  ['/revoke', ['POST']],
  ['/token', ['POST']],
  ['/admin/users', ['GET', 'HEAD', 'POST']],
  ['/admin/users/nobody', ['DELETE', 'GET', 'HEAD']],
  ['/admin/users/nobody/disable', ['POST']],
  ['/admin/users/nobody/enable', ['POST']],
  ['/admin/users/nobody/password', ['POST']],
  ['/admin/users/nobody/roles', ['PUT']],
  ['/admin/clients', ['GET', 'HEAD', 'POST']],
  ['/admin/clients/nobody', ['DELETE', 'GET', 'HEAD', 'PATCH']],
  ['/admin/clients/nobody/secret', ['POST']],
  ['/admin/sessions', ['DELETE', 'GET', 'HEAD']],
  ['/admin/sessions/9f8Hn1VnTz2cUWl0q3yJ8A', ['DELETE']],
  ['/.well-known/jwks.json', ['GET', 'HEAD']],
  ['/.well-known/oauth-authorization-server', ['GET', 'HEAD']],
]

for (const store of anyStore) {
  test(`${store}: H14: every route answers an unsupported method with 405 and Allow, and an unknown method with 501`, async (t) => {
    const { api } = await startService(t, store)
    for (const [path, allowed] of ROUTES) {
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

  test(`${store}: H14: the OpenAPI document and its page also answer 405 with Allow`, async (t) => {
    const { api } = await startService(t, store, { DOCS: 'on' })
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

  test(`${store}: H14: an unsupported method gets 405 whatever its body is`, async (t) => {
    const { api } = await startService(t, store)
    for (const [raw, type] of [
      ['{', 'application/json'],
      ['a=1&a=2', 'application/x-www-form-urlencoded'],
      ['x', 'text/plain'],
    ] as const) {
      const { status } = await api.call('/login', { method: 'PUT', raw, headers: { 'content-type': type } })
      t.equal(status, 405, type)
    }
  })

  test(`${store}: H14: a secret in the address gets 400 on every route, and has no effect`, async (t) => {
    const { api } = await startService(t, store)
    await api.signUp('ada', PASSWORD)
    const { access_token, refresh_token } = await api.tokens('ada', PASSWORD)
    for (const [path, [method = 'GET']] of ROUTES) {
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

  test(`${store}: an unknown address gets 404 and an unknown method gets 501, in the same form`, async (t) => {
    const { api } = await startService(t, store)
    const unknownMethod = await api.call('/nope', { method: 'PROPFIND' })
    t.match(unknownMethod, { status: 501, body: { error: 'invalid_request', error_description: String } })
    for (const path of ['/nope', '/login/', '/Login', '/users/1', '/users/me/', '/.env', '/livez', '/metrics']) {
      const { status, headers, body } = await api.call(path)
      t.match({ status, body }, { status: 404, body: { error: 'not_found', error_description: String } }, path)
      t.equal(headers['content-type'], 'application/json; charset=utf-8')
    }
  })
}
