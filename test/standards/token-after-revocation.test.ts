import { test } from 'tap'
import { createLogger } from '../../src/log.js'
import { openStores } from '../../src/stores.js'
import { basicAuthorization } from '../support/api.js'
import { createClient } from '../support/clients.js'
import { startService, stores } from '../support/service.js'

for (const store of stores) {
  test(`${store}: a client that revokes its token and gets another in the same second has a live token`, async (t) => {
    const { api, env } = await startService(t, store)
    const client = await createClient(env, 'backend', { scopes: ['todo:read'] })
    const ask = () =>
      api.call('/token', { form: { grant_type: 'client_credentials' }, headers: basicAuthorization(client) })
    const { access_token: first } = (await ask()).body

    t.equal((await api.call('/revoke', { form: { token: first }, headers: basicAuthorization(client) })).status, 200)
    const { access_token: second } = (await ask()).body

    t.equal(await api.isActive(first), false)
    t.equal(await api.isActive(second), true)
  })

  test(`${store}: while a client is being deleted, it gets no token that would outlive it`, async (t) => {
    const { once, env, config } = await startService(t, store)
    const client = await createClient(env, 'backend', { scopes: ['todo:read'] })
    const { sessions, close } = await openStores(config, createLogger('silent'))
    t.teardown(close)
    while (
      !(await sessions.ping().then(
        () => true,
        () => false,
      ))
    )
      await new Promise(setImmediate)

    // The first step of a deletion ends everything that a replica may issue while it remembers the client.
    await sessions.revokeClient('backend', Math.ceil(Date.now() / 1000) + 10)

    const answer = await once.call('/token', {
      form: { grant_type: 'client_credentials' },
      headers: basicAuthorization(client),
    })
    t.match(answer, { status: 503, body: { error: 'temporarily_unavailable' }, headers: { 'retry-after': '1' } })
  })
}
