import { test } from 'tap'
import { ADMIN_ROUTES, adminClient } from '../../support/admin-client.js'
import { basicAuthorization } from '../../support/api.js'
import { PASSWORD, startService, stores } from '../../support/service.js'

/** A valid body for the route. */
function bodyOf(path: string): object {
  if (path === '/admin/users') return { username: 'bob', password: PASSWORD }
  if (path === '/admin/clients') return { id: 'backend' }
  if (path.endsWith('/username')) return { username: 'bob' }
  if (path.endsWith('/claims')) return { claims: {} }
  if (path === '/admin/issuers') return { name: 'cluster', issuer: 'https://cluster.test' }
  if (path.endsWith('/mfa')) return { required: true }
  if (path.endsWith('/roles')) return { roles: ['editor'] }
  if (path.endsWith('/password')) return { password: 'seven tame otters hum' }
  return {}
}

test('every admin route refuses an unknown query parameter and names it', async (t) => {
  const { api } = await startService(t, 'sqlite')
  const { id } = (await api.signUp('ada', PASSWORD)).body
  const tokens = await api.tokens('ada', PASSWORD)
  const headers = basicAuthorization(api.client)
  for (const [method, path] of ADMIN_ROUTES) {
    const ofAda = path.replace(/[0-9a-f-]{36}/, id)
    for (const name of ['username_prefx', 'sid', 'Limit', 'constructor', 'hasOwnProperty', 'a"b']) {
      const { status, body } = await api.call(
        `${ofAda}${ofAda.includes('?') ? '&' : '?'}${encodeURIComponent(name)}=x`,
        { method, headers, ...(method !== 'GET' && { json: bodyOf(path) }) },
      )
      t.match({ status, error: body.error }, { status: 400, error: 'invalid_request' }, `${method} ${path} ${name}`)
      t.ok(body.error_description.startsWith(`query parameter ${JSON.stringify(name)} is unknown: `), name)
    }
  }
  const { body } = await api.call('/admin/users?username_prefx=a', { headers })
  t.equal(
    body.error_description,
    'query parameter "username_prefx" is unknown: send limit, cursor, username, username_prefix, disabled',
  )
  t.equal(await api.isActive(tokens.access_token), true, 'and nothing was done')
})

test('every admin route refuses an unknown member of a body and names it', async (t) => {
  const { api } = await startService(t, 'sqlite')
  const { id } = (await api.signUp('ada', PASSWORD)).body
  const tokens = await api.tokens('ada', PASSWORD)
  const headers = basicAuthorization(api.client)
  const { id: client_id, secret: client_secret } = api.client
  for (const [method, path] of ADMIN_ROUTES.filter(([each]) => each !== 'GET')) {
    const ofAda = path.replace(/[0-9a-f-]{36}/, id)
    const json = { ...bodyOf(path), role: 'x' }
    for (const send of [{ json }, { form: Object.fromEntries(Object.entries(json).map(([k, v]) => [k, String(v)])) }]) {
      const { status, body } = await api.call(ofAda, { method, headers, ...send })
      t.match({ status, error: body.error }, { status: 400, error: 'invalid_request' }, `${method} ${path}`)
      t.match(
        body.error_description,
        /^"role" is unknown: send .*client_id, client_secret, client_assertion_type, client_assertion$/,
      )
    }
  }
  const admin = adminClient(api)
  const made = { username: 'bob', password: PASSWORD, role: 'editor' }
  const refused = await admin('POST', '/users', { json: made })
  t.equal(
    refused.body.error_description,
    '"role" is unknown: send username, password, password_hash, roles, id, claims, client_id, client_secret, ' +
      'client_assertion_type, client_assertion',
  )
  t.equal(await api.isActive(tokens.access_token), true, 'and nothing was done')
  // Client credentials in the body are not unknown members.
  const form = { client_id, client_secret }
  t.equal((await api.call(`/admin/users/${id}/disable`, { method: 'POST', form })).status, 204)
  t.equal((await api.call(`/admin/users/${id}/disable`, { method: 'POST', json: form })).status, 204)
})

test('an admin route refuses an invalid value and states the rule', async (t) => {
  const { api } = await startService(t, 'sqlite')
  const admin = adminClient(api)
  const limit = 'query parameter limit must be a whole number from 1 to 1000'
  const cursor = 'query parameter cursor must be next of the previous page'
  const rows: [string, string][] = [
    ['limit=5000', limit],
    ['limit=0', limit],
    ['limit=', limit],
    ['limit=ten', limit],
    ['limit=1.5', limit],
    ['cursor=', cursor],
    ['cursor=*', cursor],
    ['cursor=garbage', cursor],
    ['cursor=abcd', cursor],
    ['cursor=YW', cursor],
    [`cursor=${Buffer.from('a b').toString('base64url')}`, cursor],
    [`cursor=${Buffer.from('a\0').toString('base64url')}`, cursor],
    [`cursor=${Buffer.from([0xed, 0xa0, 0x80]).toString('base64url')}`, cursor],
    ['disabled=yes', 'query parameter disabled must be true or false'],
    ['username=ada&username_prefix=a', 'username selects one account: send it without cursor and username_prefix'],
    ['username=ada&cursor=YS1i', 'username selects one account: send it without cursor and username_prefix'],
  ]
  for (const [query, told] of rows) {
    const { status, body } = await admin('GET', `/users?${query}`)
    t.match({ status, body }, { status: 400, body: { error: 'invalid_request', error_description: told } }, query)
  }
  const rotated = await admin('POST', '/clients/todo/secret', { json: { overlap: 'a day' } })
  t.match(rotated, { status: 400, body: { error_description: 'overlap must be a duration such as 30m, 12h or 0' } })
  const client = await admin('POST', '/clients', { json: { id: 'a b' } })
  t.match(client.body.error_description, /^id must be 1 to 64 letters, digits, dots, dashes and underscores$/)
})

for (const store of stores) {
  test(`${store}: a search by name finds only that account, in any spelling`, async (t) => {
    const { api } = await startService(t, store)
    const admin = adminClient(api)
    for (const name of ['ada', 'adam', 'zoë']) await api.signUp(name, PASSWORD)
    const find = async (query: string): Promise<string[]> => {
      const { status, body } = await admin('GET', `/users?${query}`)
      t.match({ status, next: body.next }, { status: 200, next: null }, query)
      return body.users.map(({ username }: { username: string }) => username)
    }
    t.strictSame(await find('username=ada'), ['ada'])
    t.strictSame(await find('username=ADA&limit=1'), ['ada'])
    t.strictSame(await find(`username=${encodeURIComponent('ZOE\u0308')}`), ['zoë'])
    for (const nobody of ['ad', 'ada*', '%25', '%00', 'a%20b', 'ada%0A']) {
      t.strictSame(await find(`username=${nobody}`), [], nobody)
    }
    const { id } = (await admin('GET', '/users?username=ada')).body.users[0]
    t.strictSame(await find('username=ada&disabled=true'), [])
    await admin('POST', `/users/${id}/disable`)
    t.strictSame(await find('username=ada&disabled=true'), ['ada'])
    t.strictSame(await find('username=ada&disabled=false'), [])
  })
}

test('the error for a blank token says that it is blank', async (t) => {
  const { api } = await startService(t, 'sqlite')
  const { status, body } = await api.call('/introspect', {
    json: { token: ' ' },
    headers: basicAuthorization(api.client),
  })
  t.match({ status, body }, { status: 400, body: { error_description: 'token must not be blank' } })
})
