import { test } from 'tap'
import { adminClient } from '../../support/admin-client.js'
import { type Api, basicAuthorization } from '../../support/api.js'
import { expectEvents } from '../../support/audit-events.js'
import type { Credentials } from '../../support/clients.js'
import { PASSWORD, startService, stores } from '../../support/service.js'

const introspectAs = async (api: Api, client: Credentials) =>
  (await api.call('/introspect', { form: { token: 'x' }, headers: basicAuthorization(client) })).status

for (const store of stores) {
  test(`${store}: an administrator creates a client, rotates its secret with an overlap, and deletes it with its tokens`, async (t) => {
    const { api, audited } = await startService(t, store)
    const admin = adminClient(api)

    const made = await admin('POST', '/clients', { form: { id: 'backend', scopes: 'introspect a' } })
    t.match(made, {
      status: 201,
      headers: { 'cache-control': 'no-store' },
      body: { id: 'backend', secret: /^[\w-]{43}$/, previous_secret_until: null },
    })
    t.strictSame(made.body.scopes, ['introspect', 'a'])
    t.strictSame(made.body.audiences, [])
    t.equal(await introspectAs(api, made.body), 200)
    const { secret, ...told } = made.body
    t.strictSame((await admin('GET', '/clients/backend')).body, told, 'and the secret is not shown again')
    t.match(await admin('POST', '/clients', { json: { id: 'backend' } }), {
      status: 409,
      body: { error: 'client_id_taken' },
    })
    t.equal(await introspectAs(api, { id: 'backend', secret }), 200)

    const rotated = (await admin('POST', '/clients/backend/secret', { json: { overlap: '1h' } })).body
    t.ok(Math.abs(rotated.previous_secret_until - Date.now() / 1000 - 3600) < 60)
    t.equal(await introspectAs(api, rotated), 200)
    t.equal(await introspectAs(api, made.body), 200, 'the one before is good still')
    const listed = (await admin('GET', '/clients')).body.clients
    t.match(listed, [{ id: 'backend', previous_secret_until: Number }, { id: 'todo' }])
    t.equal(listed.length, 2)
    t.strictSame(listed[1].scopes, ['introspect', 'admin'])
    t.notMatch(JSON.stringify(listed), /secret_hash|[\w-]{43}/)
    const last = (await admin('POST', '/clients/backend/secret', { json: { overlap: '0' } })).body
    t.equal(last.previous_secret_until, null)
    t.equal(await introspectAs(api, rotated), 401, 'with no overlap it is good no longer')
    const byDefault = (await admin('POST', '/clients/backend/secret')).body
    t.ok(Math.abs(byDefault.previous_secret_until - Date.now() / 1000 - 86_400) < 60)

    const form = { grant_type: 'client_credentials', scope: 'a' }
    const { access_token: token } = (await api.call('/token', { form, headers: basicAuthorization(byDefault) })).body
    t.equal(await api.isActive(token), true)
    t.equal((await admin('DELETE', '/clients/backend')).status, 204)
    t.equal(await api.isActive(token), false)
    t.equal(await introspectAs(api, byDefault), 401)
    for (const [method, path] of [
      ['GET', '/clients/backend'],
      ['DELETE', '/clients/backend'],
      ['POST', '/clients/backend/secret'],
    ] as const) {
      t.match(await admin(method, path), { status: 404, body: { error: 'not_found' } }, `${method} ${path}`)
    }

    const by = api.client.id
    expectEvents(t, audited('client.created'), [{ client: 'backend', by, scopes: ['introspect', 'a'] }])
    expectEvents(t, audited('client.secret_rotated'), [{ client: 'backend', by }, {}, {}])
    expectEvents(t, audited('client.deleted'), [{ client: 'backend', by }])
  })

  test(`${store}: an invalid client is refused with the reason`, async (t) => {
    const { api } = await startService(t, store)
    const admin = adminClient(api)
    for (const [path, json, said] of [
      ['/clients', {}, /id is missing/],
      ['/clients', { id: 'latchkey' }, /must not be latchkey/],
      ['/clients', { id: 'a b' }, /^id must be 1 to 64 letters/],
      ['/clients', { id: 'a', scopes: ['a"b'] }, /scopes\.0 has characters/],
      ['/clients', { id: 'a', scopes: 5 }, /^scopes /],
      ['/clients', { id: 'a', audiences: ['ü'] }, /audiences\.0 has characters/],
      ['/clients/todo/secret', { overlap: 'soon' }, /^overlap must be a duration/],
      ['/clients/todo/secret', { overlap: 60 }, /overlap must be string/],
    ] as const) {
      const { status, body } = await admin('POST', path, { json })
      t.match(
        { status, body },
        { status: 400, body: { error: 'invalid_request', error_description: said } },
        JSON.stringify(json),
      )
    }
    const { id } = (await api.signUp('ada', PASSWORD)).body
    t.equal((await admin('POST', '/clients', { json: { id } })).status, 409, 'the id of an account is its `sub`')
    t.equal((await admin('GET', '/clients')).body.clients.length, 1)
  })
}
