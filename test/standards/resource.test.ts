import { test } from 'tap'
import { basicAuthorization } from '../support/api.js'
import { createClient } from '../support/clients.js'
import { claimsOf } from '../support/decode.js'
import { anyStore, PASSWORD, startService } from '../support/service.js'

const BILLS = 'https://bills.test/v1'

for (const store of anyStore) {
  test(`${store}: resource is audience under its standard name, wherever audience is (RFC 8707)`, async (t) => {
    const { api, env } = await startService(t, store, { AUDIENCE: `web,todo,${BILLS}` })
    const client = await createClient(env, 'backend', { scopes: ['todo:read'] })
    await api.signUp('ada', PASSWORD)
    const signedIn = await api.tokens('ada', PASSWORD, { audience: 'todo' })
    let { refresh_token } = signedIn

    const requests = {
      'POST /login': { path: '/login', form: () => ({ username: 'ada', password: PASSWORD }), allowed: 'todo' },
      'POST /refresh': { path: '/refresh', form: () => ({ refresh_token }), allowed: 'todo' },
      'POST /token, client_credentials': {
        path: '/token',
        form: () => ({ grant_type: 'client_credentials' }),
        allowed: BILLS,
        headers: basicAuthorization(client),
      },
      'POST /token, refresh_token': {
        path: '/token',
        form: () => ({ grant_type: 'refresh_token', refresh_token }),
        allowed: 'todo',
        headers: basicAuthorization(client),
      },
    }
    for (const [name, { path, form, allowed, ...more }] of Object.entries(requests)) {
      const ask = (parameters: object) => api.call(path, { json: { ...form(), ...parameters }, ...more })
      const refused = { status: 400, body: { error: 'invalid_target' } }
      t.match(await ask({ resource: 'https://elsewhere.test' }), refused, `${name}: an unknown one`)
      t.match(await ask({ resource: `${allowed}/` }), refused, `${name}: one that is nearly known`)
      t.match(await ask({ resource: [allowed, 'web'] }), refused, `${name}: two`)
      t.match(await ask({ resource: [allowed, allowed] }), refused, `${name}: the same twice`)
      t.match(await ask({ resource: allowed, audience: 'web' }), refused, `${name}: another than audience`)
      const text = new URLSearchParams([...Object.entries(form()), ['resource', allowed], ['resource', 'web']])
      const type = { 'content-type': 'application/x-www-form-urlencoded' }
      const twice = await api.call(path, {
        raw: text.toString(),
        headers: { ...type, ...('headers' in more && more.headers) },
      })
      t.match(twice, refused, `${name}: two in a form`)

      for (const parameters of [{ resource: allowed }, { resource: allowed, audience: allowed }]) {
        const { status, body } = await ask(parameters)
        t.equal(status, 200, `${name} ${JSON.stringify(parameters)}`)
        t.equal(claimsOf(body.access_token).aud, allowed)
        if ('refresh_token' in form()) refresh_token = body.refresh_token
      }
    }
    const none = await api.call('/token', {
      raw: 'grant_type=client_credentials&resource=',
      headers: { 'content-type': 'application/x-www-form-urlencoded', ...basicAuthorization(client) },
    })
    t.equal(claimsOf(none.body.access_token).aud, 'web', 'without a value it counts as left out (RFC 6749 §3.1)')
  })
}
