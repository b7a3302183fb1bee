import { test } from 'tap'
import { type Api, basicAuthorization } from '../support/api.js'
import type { Credentials } from '../support/clients.js'
import { environmentOf, latchkey, operatorEnvironment, storeCombinations } from '../support/latchkey.js'
import { CLIENT, startServiceWith } from '../support/service.js'

const introspectAs = async (api: Api, client: Credentials) =>
  (await api.call('/introspect', { form: { token: 'x' }, headers: basicAuthorization(client) })).status

for (const setting of storeCombinations) {
  test(`${setting}: the running service follows when the command line creates, rotates and deletes a client`, async (t) => {
    const env = await environmentOf(t, setting)
    const { api } = await startServiceWith(t, env)
    const run = async (...args: string[]) =>
      (await latchkey(['clients', ...args, '--json'], operatorEnvironment(env))).json

    const made = await run('create', 'backend', '--scope', 'introspect', '--scope', 'a b')
    t.match(made, { id: 'backend', secret: /^[\w-]{43}$/, scopes: ['introspect', 'a', 'b'] })
    t.strictSame(made.audiences, [])
    t.equal(await introspectAs(api, made), 200)

    const rotated = await run('rotate', 'backend', '--overlap', '1h')
    t.match(rotated, { id: 'backend', secret: /^[\w-]{43}$/ })
    t.ok(Math.abs(rotated.previous_secret_until - Date.now() / 1000 - 3600) < 60)
    t.equal(await introspectAs(api, rotated), 200, 'at once')
    t.equal(await introspectAs(api, made), 200, 'and the old one still')
    const listed = await run('list')
    t.match(listed, {
      clients: [
        { id: 'backend', scopes: ['introspect', 'a', 'b'], previous_secret_until: rotated.previous_secret_until },
        { id: CLIENT.id, scopes: ['introspect', 'admin'], previous_secret_until: null },
      ],
    })
    t.strictSame(listed.clients[1].audiences, [])
    const changed = { scopes: ['introspect', 'a', 'b'], audiences: ['x'], exchange_audiences: ['todo', 'bills'] }
    t.strictSame(await run('update', 'backend', '--audience', 'x', '--exchange-audiences', 'todo bills'), {
      id: 'backend',
      changed: ['audiences', 'exchangeAudiences'],
    })
    t.match((await run('list')).clients[0], changed)
    await run('update', 'backend', '--audience', '', '--exchange-audiences', '')
    const [emptied] = (await run('list')).clients
    t.match(emptied, { scopes: changed.scopes })
    t.strictSame(emptied.audiences, [])
    t.strictSame(emptied.exchange_audiences, [])
    const last = await run('rotate', 'backend', '--overlap', '0')
    t.equal(last.previous_secret_until, null)
    t.equal(await introspectAs(api, last), 200)
    t.equal(await introspectAs(api, rotated), 401, 'with no overlap the old one is gone')

    const form = { grant_type: 'client_credentials', scope: 'a' }
    const { access_token: token } = (await api.call('/token', { form, headers: basicAuthorization(last) })).body
    t.equal(await api.isActive(token), true)
    t.strictSame(await run('delete', 'backend'), { id: 'backend', deleted: true })
    t.equal(await api.isActive(token), false, 'its tokens have ended when the command answers')
    // The service may remember the client for some seconds. Tokens that it issues then must end with the client.
    const { body: late } = await api.call('/token', { form, headers: basicAuthorization(last) })
    if (late.access_token) t.equal(await api.isActive(late.access_token), false)
    t.match(await run('list'), { clients: [{ id: CLIENT.id }] })
    t.equal((await run('list')).clients.length, 1)
  })
}

test('clients create shows the secret once, and an existing client keeps its secret', async (t) => {
  const env = operatorEnvironment(await environmentOf(t, 'sqlite'))
  const made = await latchkey(['clients', 'create', 'backend'], env)
  t.match(made, {
    code: 0,
    stderr: /^\{.*"event":"client\.created".*\}\n$/,
    stdout: /^The client backend is created\..*\n[\w-]{43}\n$/,
  })
  const secret = made.stdout.split('\n')[1] as string
  t.notOk(made.stderr.includes(secret))

  t.match(await latchkey(['clients', 'create', 'backend'], env), {
    code: 1,
    stdout: '',
    stderr:
      'latchkey: a client or an account has the id backend: choose another, or give the client a new secret with rotate\n',
  })
  const list = await latchkey(['clients', 'list'], env)
  t.match(
    list.stdout,
    /^ID +SCOPES +AUDIENCES +EXCHANGES FOR +AUTHENTICATION +CREATED +OLD SECRET UNTIL\nbackend +- +all +- +secret +\d{4}-\S+Z +-\n$/,
  )
  t.notOk(list.stdout.includes(secret))
})

test('clients commands refuse invalid arguments', async (t) => {
  const env = operatorEnvironment(await environmentOf(t, 'sqlite'))
  t.equal((await latchkey(['migrate'], env)).code, 0)
  for (const [args, said, code = 1] of [
    [['create', 'latchkey'], /not latchkey/],
    [['create', 'a b'], /ID must be 1 to 64 letters/],
    [['create', 'a', '--scope', 'a"b'], /--scope must be printable ASCII/],
    [['create', 'a', '--audience', 'ü'], /--audience must be printable ASCII/],
    [['create', 'a', '--exchange-audiences', 'ü'], /--exchange-audiences must be printable ASCII/],
    [['update', 'nobody', '--scope', 'a'], /there is no client nobody/],
    [['update', 'nobody'], /nothing to change/, 2],
    [['rotate', 'nobody'], /there is no client nobody/],
    [['rotate', 'nobody', '--overlap', 'soon'], /--overlap: write a duration/],
    [['delete', 'nobody'], /there is no client nobody/],
  ] as [string[], RegExp, number?][]) {
    t.match(await latchkey(['clients', ...args], env), { code, stdout: '', stderr: said }, args.join(' '))
  }
  t.equal((await latchkey(['clients', 'list'], env)).stdout, 'There are no clients.\n')
})
