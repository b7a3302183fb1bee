import { test } from 'tap'
import { ADMIN_ROUTES, UNKNOWN_USER_ID } from '../../support/admin-client.js'
import { basicAuthorization } from '../../support/api.js'
import { createClient } from '../../support/clients.js'
import { keyFileSettings, makeKey, writeKeyFile } from '../../support/keys.js'
import { anyStore, PASSWORD, startService } from '../../support/service.js'

test('ADMIN_ROUTES lists the admin routes of the OpenAPI document', async (t) => {
  const { api } = await startService(t, 'sqlite', { DOCS: 'on' })
  const { paths } = (await api.call('/openapi.json')).body
  const documented = Object.entries(paths as Record<string, object>)
    .filter(([path]) => path.startsWith('/admin'))
    .flatMap(([path, methods]) => Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`))
  const listed = ADMIN_ROUTES.map(([method, path]) =>
    `${method} ${path}`
      .replace(/\?.*/, '')
      .replace(UNKNOWN_USER_ID, '{id}')
      .replace('issuers/nobody', 'issuers/{name}')
      .replace('nobody', '{id}')
      .replace('9f8Hn1VnTz2cUWl0q3yJ8A', '{sid}'),
  )
  t.strictSame(listed.sort(), documented.sort())
})

for (const store of anyStore) {
  test(`${store}: H12: every admin route authenticates the client before everything else`, async (t) => {
    const { api, env, audited } = await startService(t, store, keyFileSettings(writeKeyFile(t, await makeKey('ES256'))))
    await api.signUp('ada', PASSWORD)
    const person = await api.tokens('ada', PASSWORD)
    const other = await createClient(env, 'backend', { scopes: ['introspect', 'admin:read'] })
    const own = await api.call('/token', {
      form: { grant_type: 'client_credentials', scope: 'introspect' },
      headers: basicAuthorization(api.client),
    })
    const unauthenticated: [string, Record<string, string>][] = [
      ['nobody', {}],
      ['a wrong secret', basicAuthorization({ ...api.client, secret: 'wrong' })],
      ['an unknown client', basicAuthorization({ id: 'nobody', secret: api.client.secret })],
      ['a person', { authorization: `Bearer ${person.access_token}` }],
      ['a refresh token', { authorization: `Bearer ${person.refresh_token}` }],
      ['no token', { authorization: 'Bearer' }],
      ['two tokens', { authorization: 'Bearer a b' }],
    ]
    const forbidden: [string, Record<string, string>][] = [
      ['a client without the scope', basicAuthorization(other)],
      ['a token without the scope', { authorization: `Bearer ${own.body.access_token}` }],
    ]
    for (const [method, path] of ADMIN_ROUTES) {
      for (const [who, headers] of unauthenticated) {
        for (const json of [undefined, { username: 5, roles: {}, overlap: [] }]) {
          const { status, headers: answered, body } = await api.call(path, { method, json, headers })
          t.match({ status, body }, { status: 401, body: { error: 'invalid_client' } }, `${method} ${path} by ${who}`)
          t.match(answered['www-authenticate'], /^Basic /)
        }
      }
      for (const [who, headers] of forbidden) {
        const { status, body } = await api.call(path, { method, json: { username: 5 }, headers })
        t.match({ status, body }, { status: 403, body: { error: 'insufficient_scope' } }, `${method} ${path} by ${who}`)
      }
    }
    t.equal(audited('client.refused').length, ADMIN_ROUTES.length * unauthenticated.length * 2)
    t.equal(await api.isActive(person.access_token), true)
  })

  test(`${store}: an admin route accepts Basic, credentials in the body, or the client's own token`, async (t) => {
    const { api } = await startService(t, store, keyFileSettings(writeKeyFile(t, await makeKey('ES256'))))
    const { id: client_id, secret: client_secret } = api.client
    const made = await api.call('/admin/clients', { form: { id: 'one', client_id, client_secret } })
    t.equal(made.status, 201)
    t.equal((await api.call('/admin/clients', { json: { id: 'two', client_id, client_secret } })).status, 201)
    t.equal(
      (await api.call('/admin/clients', { json: { id: 'three' }, headers: basicAuthorization(api.client) })).status,
      201,
    )

    const form = { grant_type: 'client_credentials', scope: 'admin' }
    const { access_token: bearer } = (await api.call('/token', { form, headers: basicAuthorization(api.client) })).body
    t.equal((await api.call('/admin/clients', { bearer })).body.clients.length, 4)
    await api.call('/revoke', { form: { token: bearer } })
    t.equal((await api.call('/admin/clients', { bearer })).status, 401, 'and by no token that was revoked')
  })
}
