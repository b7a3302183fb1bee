import { randomBytes } from 'node:crypto'
import { type Test, test } from 'tap'
import { adminClient } from '../../support/admin-client.js'
import type { Api } from '../../support/api.js'
import { secondsNow } from '../../support/assertions.js'
import { expectEvents } from '../../support/audit-events.js'
import { createClient } from '../../support/clients.js'
import { claimsOf } from '../../support/decode.js'
import { exchange } from '../../support/exchange.js'
import { enrolTotp, loginMfa } from '../../support/factors.js'
import { Forger } from '../../support/hostile/forger.js'
import { keyFileSettings, makeKey, writeKeyFile } from '../../support/keys.js'
import {
  anyStore,
  type Environment,
  JWT_SECRET,
  PASSWORD,
  type Store,
  startReady,
  startService,
} from '../../support/service.js'

const ISSUER = 'http://latchkey.test'
const SCOPE = { scope: 'admin', audience: ISSUER }
const HASH = '$2b$04$abcdefghijklmnopqrstuuTdWvXlVXOqaUMrkZxRHM0gPq6cJyeFG'

async function start(t: Test, store: Store, overrides: Environment = {}) {
  const service = await startService(t, store, { AUDIENCE: 'web,todo', ...overrides })
  const admin = adminClient(service.api)
  const root = await admin('POST', '/users', {
    json: { username: 'root', password: PASSWORD, roles: ['latchkey-admin'] },
  })
  const ada = await admin('POST', '/users', { json: { username: 'ada', password: PASSWORD } })
  return { ...service, admin, root: root.body.id as string, ada: ada.body.id as string }
}

const administrate = (api: Api) => api.tokens('root', PASSWORD, SCOPE)
const list = (api: Api, bearer: string) => api.call('/admin/users', { bearer })
const disable = (api: Api, bearer: string, id: string) =>
  api.call(`/admin/users/${id}/disable`, { method: 'POST', bearer })

for (const store of anyStore) {
  test(`${store}: P1: a person with the role administrates, and the audit log names the person`, async (t) => {
    const { api, root, ada, audited } = await start(t, store)
    const { access_token: bearer, refresh_token: refreshToken, scope } = await administrate(api)
    t.equal(scope, 'admin')
    const { status, body } = await list(api, bearer)
    t.equal(status, 200)
    t.strictSame(
      body.users.map(({ username }: { username: string }) => username),
      ['ada', 'root'],
    )
    t.equal((await disable(api, bearer, ada)).status, 204)
    expectEvents(t, audited('user.disabled'), [{ sub: ada, by: root }])
    const refreshed = (await api.refresh(refreshToken)).body.access_token
    t.equal((await list(api, refreshed)).status, 200)

    await api.logout(refreshed)
    for (const token of [bearer, refreshed]) t.equal((await list(api, token)).status, 401, 'the session has ended')
  })

  test(`${store}: P2: only a session that asked for the scope, for ISSUER and without a client, administrates`, async (t) => {
    const { api, env } = await start(t, store)
    const ordinary = await api.tokens('root', PASSWORD, { audience: ISSUER })
    t.match(await list(api, ordinary.access_token), { status: 401, body: { error: 'invalid_client' } })

    const client = await createClient(env, 'backend')
    const credentials = { client_id: client.id, client_secret: client.secret }
    const refused: [string, Record<string, string>][] = [
      ['the default audience', { scope: 'admin' }],
      ['another audience', { ...SCOPE, audience: 'todo' }],
      ['another reserved scope', { ...SCOPE, scope: 'admin introspect' }],
      ['a client that owns the session', { ...SCOPE, ...credentials }],
    ]
    for (const [what, more] of refused) {
      t.match(await api.login('root', PASSWORD, more), { status: 400, body: { error: 'invalid_scope' } }, what)
    }
    const other = await api.login('ada', PASSWORD, SCOPE)
    t.match(other, { status: 400, body: { error: 'invalid_scope', error_description: /role latchkey-admin/ } })
    t.equal((await api.login('ada', 'wrong', SCOPE)).status, 401, 'a wrong password learns nothing of roles')

    const { access_token: bearer } = await administrate(api)
    const both = await api.call('/admin/clients', { bearer, json: { id: 'one', ...credentials } })
    t.match(both, { status: 400, body: { error: 'invalid_request' } })
  })

  test(`${store}: P3: a client that exchanges the token cannot administrate, and gets no reserved scope`, async (t) => {
    const { api, env } = await start(t, store)
    const gateway = await createClient(env, 'gateway', { exchangeAudiences: [ISSUER, 'todo'] })
    const { access_token: token } = await api.tokens('root', PASSWORD, { ...SCOPE, scope: 'admin todo:read' })
    for (const audience of [ISSUER, 'todo']) {
      const { body } = await exchange(api, gateway, token, { audience })
      t.equal(body.scope, 'todo:read')
      t.equal((await list(api, body.access_token)).status, 401)
      t.match(await exchange(api, gateway, token, { audience, scope: 'admin' }), {
        status: 400,
        body: { error: 'invalid_scope' },
      })
    }
    // The service never issues this token. Its `jti` is genuine, so only `act` is wrong.
    const acted = new Forger(JWT_SECRET, claimsOf(token), '').withClaims({ act: { sub: 'gateway' } })
    t.match(await list(api, acted), { status: 401, body: { error: 'invalid_token' } })
  })

  test(`${store}: P4: a holder of the shared secret cannot forge a token that administrates`, async (t) => {
    const { api, ada } = await start(t, store)
    const genuine = claimsOf((await administrate(api)).access_token)
    const ordinary = claimsOf((await api.tokens('root', PASSWORD)).access_token)
    const jti = randomBytes(16).toString('base64url')
    const ask = { scope: 'admin', aud: ISSUER, roles: ['latchkey-admin'], acr: '2' }
    const forged = {
      'the claims of a live session that administrates': { ...genuine, jti },
      'its own jti over another time': { ...genuine, iat: genuine.iat - 1 },
      'a live ordinary session of the administrator': { ...ordinary, ...ask },
      'the same with another jti': { ...ordinary, ...ask, jti },
      'an account without the role': { ...genuine, sub: ada, jti },
    }
    for (const [what, claims] of Object.entries(forged)) {
      const token = new Forger(JWT_SECRET, { ...genuine, jti: 'x' }, '').token({ claims })
      t.equal((await list(api, token)).status, 401, what)
      t.equal((await disable(api, token, ada)).status, 401, what)
    }
    const unnamed = new Forger(JWT_SECRET, genuine, '').withClaims({ aud: 'web' })
    t.equal((await list(api, unnamed)).status, 401, 'a genuine jti and another audience')
  })

  test(`${store}: P5: who loses the role, or the account, administrates no more`, async (t) => {
    const { api, admin, root, ada } = await start(t, store, keyFileSettings(writeKeyFile(t, await makeKey('ES256'))))
    const { access_token: bearer } = await administrate(api)
    t.equal(
      (await api.call(`/admin/users/${ada}/roles`, { method: 'PUT', bearer, json: { roles: ['latchkey-admin'] } }))
        .status,
      204,
    )
    const { access_token: second } = await api.tokens('ada', PASSWORD, SCOPE)
    t.equal((await list(api, second)).status, 200, 'an administrator gives the role')

    t.equal((await admin('PUT', `/users/${ada}/roles`, { json: { roles: [] } })).status, 204)
    t.equal((await list(api, second)).status, 401)
    t.equal((await admin('POST', `/users/${root}/disable`)).status, 204)
    t.equal((await list(api, bearer)).status, 401)
  })

  test(`${store}: P6: a change needs a sign-in of the last hour, and both need the factor of the account`, async (t) => {
    const { api, ada } = await start(t, store)
    const { access_token: bearer } = await administrate(api)
    const hourAgo = secondsNow() - 3601
    const old = new Forger(JWT_SECRET, claimsOf(bearer), '').withClaims({ auth_time: hourAgo })
    t.equal((await list(api, old)).status, 200)
    t.match(await disable(api, old, ada), {
      status: 401,
      body: { error: 'insufficient_user_authentication' },
      headers: { 'www-authenticate': /max_age="?3600/ },
    })
    const renewed = await api.call('/login/step-up', { bearer: old, json: { password: PASSWORD } })
    t.equal((await disable(api, renewed.body.access_token, ada)).status, 204, 'a step-up answers the challenge')

    const { app } = await enrolTotp(api, (await api.tokens('root', PASSWORD)).access_token)
    const begun = await api.login('root', PASSWORD, SCOPE)
    const { access_token: strong } = (await loginMfa(api, begun.body.mfa_token, { totp: await app.next() })).body
    t.equal((await disable(api, strong, ada)).status, 204)
    const weak = new Forger(JWT_SECRET, claimsOf(strong), '').withClaims({ amr: ['pwd'], acr: '1' })
    for (const answer of [await list(api, weak), await disable(api, weak, ada)]) {
      t.match(answer, { status: 401, headers: { 'www-authenticate': /acr_values="2"/ } })
    }
  })

  test(`${store}: P8: once MFA=required, a session with one factor administrates no more`, async (t) => {
    const { api, env, ada, close } = await start(t, store)
    const { access_token: bearer } = await administrate(api)
    await close()

    const { api: next } = await startReady(t, { ...env, MFA: 'required' })

    for (const answer of [await list(next, bearer), await disable(next, bearer, ada)]) {
      t.match(answer, { status: 401, headers: { 'www-authenticate': /acr_values="2"/ } })
    }
  })

  test(`${store}: P7: no import and no claim makes an administrator`, async (t) => {
    const { api, admin, ada } = await start(t, store)
    const json = { username: 'eve', password_hash: HASH, roles: ['editor', 'latchkey-admin'] }
    t.match(await admin('POST', '/users', { json }), {
      status: 400,
      body: { error_description: /latchkey-admin is never imported/ },
    })
    t.equal((await admin('PUT', `/users/${ada}/claims`, { json: { claims: { roles: 'latchkey-admin' } } })).status, 400)
    t.equal((await api.login('ada', PASSWORD, SCOPE)).status, 400)
  })
}
