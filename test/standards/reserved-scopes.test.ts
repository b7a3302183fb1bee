import { type Test, test } from 'tap'
import { basicAuthorization } from '../support/api.js'
import { type Credentials, createClient } from '../support/clients.js'
import { claimsOf } from '../support/decode.js'
import { keyFileSettings, makeKey, writeKeyFile } from '../support/keys.js'
import { type Environment, PASSWORD, startService } from '../support/service.js'

const ISSUER = 'http://latchkey.test'

async function start(t: Test, overrides: Environment = { AUDIENCE: 'web,todo' }) {
  const keys = keyFileSettings(writeKeyFile(t, await makeKey('ES256')))
  const { api, env } = await startService(t, 'sqlite', { ...keys, ...overrides })
  const ask = (client: Credentials, form: Record<string, string> = {}) =>
    api.call('/token', { form: { grant_type: 'client_credentials', ...form }, headers: basicAuthorization(client) })
  return { api, env, ask }
}

test("W13: without scope a client's token has every scope of the client except introspect and admin", async (t) => {
  const { env, ask, api } = await start(t)
  const client = await createClient(env, 'backend', { scopes: ['introspect', 'todo:read', 'admin', 'todo:write'] })
  const { body } = await ask(client)
  t.equal(body.scope, 'todo:read todo:write')
  t.match(claimsOf(body.access_token), { scope: 'todo:read todo:write', aud: 'web' })
  const bootstrap = await ask(api.client)
  t.match(bootstrap, { status: 200, body: { scope: '' } }, 'a client with no other has none in its token')
})

test('W13: a reserved scope is issued only on request, with the issuer as audience', async (t) => {
  const { ask, api } = await start(t)
  for (const scope of ['admin', 'introspect', 'introspect admin']) {
    for (const audience of [undefined, 'web', 'todo']) {
      const answer = await ask(api.client, { scope, ...(audience !== undefined && { audience }) })
      t.match(answer, { status: 400, body: { error: 'invalid_target' } }, `${scope} for ${audience}`)
      t.match(answer.body.error_description, new RegExp(`audience=${ISSUER}`), 'it says what to send')
    }
    const { status, body } = await ask(api.client, { scope, audience: ISSUER })
    t.match(
      { status, scope: body.scope, claims: claimsOf(body.access_token) },
      { status: 200, scope, claims: { aud: ISSUER } },
    )
    const answers = [
      await api.call('/introspect', { form: { token: body.access_token }, bearer: body.access_token }),
      await api.call('/admin/users', { bearer: body.access_token }),
    ]
    t.strictSame(
      answers.map(({ status }) => status),
      ['introspect', 'admin'].map((each) => (scope.split(' ').includes(each) ? 200 : 403)),
      'each opens what it is for',
    )
  }
  const inPlainWords = await ask(api.client, { scope: 'admin', audience: 'nobody' })
  t.match(inPlainWords, { status: 400, body: { error: 'invalid_target' } })
})

test('W13: if ISSUER is the default audience, the reserved scope alone is enough', async (t) => {
  const { ask, api } = await start(t, {})
  const { body } = await ask(api.client, { scope: 'introspect' })
  t.match(await api.call('/introspect', { form: { token: 'x' }, bearer: body.access_token }), { status: 200 })
})

test('a token for another audience gives no access to /admin and /introspect', async (t) => {
  const { ask, env, api } = await start(t)
  const client = await createClient(env, 'backend', { scopes: ['introspect', 'admin', 'todo:read'] })
  for (const audience of ['web', 'todo']) {
    const bearer = (await ask(client, { audience })).body.access_token
    for (const answer of [
      await api.call('/introspect', { form: { token: bearer }, bearer }),
      await api.call('/admin/users', { bearer }),
    ]) {
      t.match(answer, { status: 401, body: { error: 'invalid_client' } }, audience)
      t.match(answer.body.error_description, new RegExp(`audience=${ISSUER}`))
      t.match(answer.headers['www-authenticate'], /^Basic /)
    }
  }
})

test('a client may ask for ISSUER as audience, also when AUDIENCE does not list it', async (t) => {
  const { ask, env, api } = await start(t)
  await api.signUp('ada', PASSWORD)
  const person = await api.tokens('ada', PASSWORD, { audience: ISSUER })
  t.equal(claimsOf(person.access_token).aud, ISSUER)
  t.equal(await api.isActive(person.access_token), true)
  const refreshed = (await api.refresh(person.refresh_token)).body
  t.equal(claimsOf(refreshed.access_token).aud, ISSUER)
  t.equal(claimsOf((await api.tokens('ada', PASSWORD)).access_token).aud, 'web', 'the default is the first of AUDIENCE')
  const own = await ask(await createClient(env, 'backend'), { audience: ISSUER })
  t.equal(await api.isActive(own.body.access_token), true)

  const confined = await createClient(env, 'mailer', { scopes: ['introspect'], audiences: ['todo'] })
  const beyond = await ask(confined, { scope: 'introspect', audience: ISSUER })
  t.match(
    beyond,
    { status: 400, body: { error: 'invalid_target' } },
    "a client's own audiences confine it here as well",
  )
  const both = await createClient(env, 'both', { scopes: ['introspect'], audiences: ['todo', ISSUER] })
  t.equal((await ask(both, { scope: 'introspect', audience: ISSUER })).status, 200)
  t.match(await api.login('ada', PASSWORD, { audience: `${ISSUER}/` }), {
    status: 400,
    body: { error: 'invalid_target' },
  })
})
