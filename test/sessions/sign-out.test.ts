import { test } from 'tap'
import { type Api, basicAuthorization } from '../support/api.js'
import { secondsNow } from '../support/assertions.js'
import { createClient } from '../support/clients.js'
import { expectDead } from '../support/dead-tokens.js'
import { claimsOf } from '../support/decode.js'
import { Forger } from '../support/hostile/tokens.js'
import { keyFileSettings, makeKey, writeKeyFile } from '../support/keys.js'
import { JWT_SECRET, PASSWORD, startService, startServiceWith, stores, untilReady } from '../support/service.js'

const ANOTHER = 'another-2Lx7Zr4Vb1Nc8Mw5Td9fKq3Hs6Gp'

/** The two ways to end what a token belongs to, with the status of success. */
const ways: Record<string, { ask(api: Api, token: string): ReturnType<Api['logout']>; done: number }> = {
  '/logout': { ask: (api, token) => api.logout(token), done: 204 },
  '/revoke': { ask: (api, token) => api.call('/revoke', { form: { token } }), done: 200 },
}

for (const store of stores) {
  for (const [way, { ask, done }] of Object.entries(ways)) {
    test(`${store}: F22: ${way} ends a session whatever the times in the token are`, async (t) => {
      const { api } = await startService(t, store)
      await api.signUp('ada', PASSWORD)
      const ahead = (now: number, seconds: number) => ({ iat: now + seconds, exp: now + seconds + 900 })
      const times: Record<string, (now: number) => object> = {
        'issued by an instance that is 8 s ahead': (now) => ahead(now, 8),
        'issued by an instance that is a day ahead': (now) => ahead(now, 86_400),
        'not to be used for an hour': (now) => ({ nbf: now + 3600 }),
        'expired in 2001': () => ({ iat: 1_000_000_000, exp: 1_000_000_900 }),
        'of another order of times': (now) => ({ iat: now + 7200, exp: now + 3600, nbf: now + 9000 }),
      }
      for (const [what, claims] of Object.entries(times)) {
        const tokens = await api.tokens('ada', PASSWORD)
        const token = new Forger(JWT_SECRET, claimsOf(tokens.access_token), '').withClaims(claims(secondsNow()))
        t.equal(await api.isActive(token), false, `${what}: opens nothing`)

        t.equal((await ask(api, token)).status, done, what)

        await expectDead(t, api, tokens)
      }
    })

    test(`${store}: O5: ${way} with a token for a removed audience still ends its session`, async (t) => {
      const before = await startService(t, store, { AUDIENCE: 'todo,bills' })
      await before.api.signUp('ada', PASSWORD)
      const tokens = await before.api.tokens('ada', PASSWORD, { audience: 'bills' })
      await before.close()
      const { api, close, managementUrl } = await startServiceWith(t, { ...before.env, AUDIENCE: 'todo' })
      await untilReady(managementUrl)
      t.equal(await api.isActive(tokens.access_token), false, 'it opens nothing')

      t.equal((await ask(api, tokens.access_token)).status, done)

      await close()
      const after = await startServiceWith(t, before.env)
      await untilReady(after.managementUrl)
      await expectDead(t, after.api, tokens)
    })
  }

  test(`${store}: a sign-out with a token of an unknown key never answers 204`, async (t) => {
    const home = await startService(t, store)
    await home.api.signUp('ada', PASSWORD)
    const tokens = await home.api.tokens('ada', PASSWORD)
    const token = tokens.access_token
    // This instance has the same stores. Its key was rotated out, or has not arrived yet.
    const { api, managementUrl } = await startServiceWith(t, { ...home.env, JWT_SECRET: ANOTHER })
    await untilReady(managementUrl)
    const why = /this service does not have the key of the token.* send another token of the session/

    t.match(await api.logout(token), {
      status: 401,
      headers: { 'www-authenticate': /^Bearer .*error="invalid_token"/ },
      body: { error: 'invalid_token', error_description: why },
    })
    t.match(await api.call('/logout', { json: { token } }), { status: 401, body: { error_description: why } })
    for (const headers of [basicAuthorization(api.client), {}]) {
      t.match(await api.call('/revoke', { form: { token }, headers }), {
        status: 400,
        body: { error: 'unsupported_token_type', error_description: why },
      })
    }
    t.match(await api.call('/logout-all', { method: 'POST', bearer: token }), { status: 401 })
    t.match(await api.call(`/sessions/${tokens.sid}`, { method: 'DELETE', bearer: token }), { status: 401 })
    const change = { current_password: PASSWORD, new_password: 'a password of another kind' }
    t.match(await api.call('/users/me/password', { json: change, bearer: token }), { status: 401 })
    t.strictSame((await api.introspect(token)).body, { active: false }, 'in doubt it is not active')
    t.equal(await home.api.isActive(token), true, 'the session lives, as nobody said that it ended')

    // Callers react to a 401 with a refresh and a second sign-out.
    const { access_token: fresh } = (await api.refresh(tokens.refresh_token)).body
    t.equal((await api.logout(fresh)).status, 204)
    t.equal(await home.api.isActive(token), false)
  })

  test(`${store}: a sign-out with a refresh token of an unknown key never answers 204`, async (t) => {
    const home = await startService(t, store)
    await home.api.signUp('ada', PASSWORD)
    const { access_token, refresh_token: token } = await home.api.tokens('ada', PASSWORD)
    const { api, managementUrl } = await startServiceWith(t, { ...home.env, REFRESH_SECRET: ANOTHER })
    await untilReady(managementUrl)

    t.match(await api.logout(token), { status: 401, body: { error: 'invalid_token' } })
    t.match(await api.call('/revoke', { form: { token } }), { status: 400, body: { error: 'unsupported_token_type' } })
    t.match(await api.refresh(token), { status: 400, body: { error: 'invalid_grant' } })

    t.equal(await home.api.isActive(access_token), true)
    t.match(await api.logout(access_token), { status: 401 }, 'whose jti is a MAC under that secret as well')
    t.equal(await home.api.isActive(access_token), true)
    t.equal((await home.api.logout(token)).status, 204)
    t.equal(await home.api.isActive(access_token), false)
  })

  test(`${store}: a client's own token that was issued slightly in the future is ended; one far in the future is refused`, async (t) => {
    const { api, env } = await startService(t, store)
    const client = await createClient(env, 'backend', { scopes: ['todo:read'] })
    const grant = () =>
      api.call('/token', { form: { grant_type: 'client_credentials' }, headers: basicAuthorization(client) })
    const { access_token: token } = (await grant()).body
    const now = secondsNow()
    const forger = new Forger(JWT_SECRET, claimsOf(token), '')
    const issued = (iat: number) => forger.withClaims({ iat, exp: iat + 900 })

    t.match(await api.call('/revoke', { form: { token: issued(now + 60) } }), { status: 503 })
    t.equal(await api.isActive(token), true, 'which is no acknowledgement')
    t.equal((await grant()).status, 200, 'and shuts the client out of nothing')

    t.equal((await api.call('/revoke', { form: { token: issued(now + 7) } })).status, 200)
    t.equal(await api.isActive(token), false, 'with all that were issued before')
  })
}

test('a sign-out with a token of a removed key never answers 204; its refresh token still signs out', async (t) => {
  const [old, next] = [await makeKey('ES256'), await makeKey('ES256')]
  const home = await startService(t, 'sqlite', keyFileSettings(writeKeyFile(t, old)))
  await home.api.signUp('ada', PASSWORD)
  const tokens = await home.api.tokens('ada', PASSWORD)
  const { api } = await startServiceWith(t, { ...home.env, ...keyFileSettings(writeKeyFile(t, next)) })

  t.equal((await api.logout(tokens.access_token)).status, 401)
  t.equal(await home.api.isActive(tokens.access_token), true)
  t.equal((await api.logout(tokens.refresh_token)).status, 204)
  t.equal(await home.api.isActive(tokens.access_token), false)
})
