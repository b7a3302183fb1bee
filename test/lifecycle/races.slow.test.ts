import { test } from 'tap'
import { deleteAccount } from '../../src/lifecycle/accounts.js'
import { withAccounts } from '../support/accounts.js'
import { adminClient } from '../support/admin-client.js'
import type { Answer, Tokens } from '../support/api.js'
import { PASSWORD, startService, stores } from '../support/service.js'

const ROUNDS = Number(process.env.LATCHKEY_TEST_ROUNDS ?? 5)

for (const store of stores) {
  test(`${store}: R10: an account that somebody enables during its deletion leaves no session`, async (t) => {
    const { api, env } = await startService(t, store)
    const admin = adminClient(api)
    const { id } = (await admin('POST', '/users', { json: { username: 'ada', password: PASSWORD } })).body
    const late: Tokens[] = []

    const endSessions = async () => {
      await admin('DELETE', `/sessions?sub=${id}`)
      if (late.length > 0) return
      // Another administrator enables the account after its sessions ended and before its deletion.
      await admin('POST', `/users/${id}/enable`)
      late.push(await api.tokens('ada', PASSWORD))
    }
    const isDeleted = await withAccounts(env, (users) =>
      deleteAccount(users, id, endSessions, () => t.fail('in one go')),
    )

    t.ok(isDeleted)
    t.equal((await admin('GET', `/users/${id}`)).status, 404)
    for (const { access_token, refresh_token } of late) {
      t.strictSame((await api.introspect(access_token)).body, { active: false })
      t.equal((await api.refresh(refresh_token)).status, 400)
    }
  })

  test(`${store}: R6: no token survives from sign-ins and refreshes that race an administrator`, async (t) => {
    const { api } = await startService(t, store, { HASH_COST: 'full', HASH_QUEUE: '1000' })
    const admin = adminClient(api)
    const acts: [what: string, act: (id: string) => Promise<Answer>][] = [
      ['disabled', (id) => admin('POST', `/users/${id}/disable`)],
      ['reset', (id) => admin('POST', `/users/${id}/password`, { json: { password: 'seven tame otters hum' } })],
      ['without the role', (id) => admin('PUT', `/users/${id}/roles`, { json: { roles: ['editor'] } })],
      ['deleted', (id) => admin('DELETE', `/users/${id}`)],
    ]
    for (const [what, act] of acts) {
      let signedIn = 0
      for (let round = 0; round < ROUNDS; round += 1) {
        const json = {
          username: `${what.replaceAll(' ', '-')}-${round}`,
          password: PASSWORD,
          roles: ['editor', 'chief'],
        }
        const { id } = (await admin('POST', '/users', { json })).body
        const before = await api.tokens(json.username, PASSWORD)

        // The change comes at a different moment in each round.
        const [answered, ...others] = await Promise.all([
          new Promise((resolve) => setTimeout(resolve, round * 8)).then(() => act(id)),
          api.refresh(before.refresh_token),
          api.login(json.username, PASSWORD),
          api.login(json.username, PASSWORD),
        ])

        t.equal(answered.status, 204)
        const issued = others.filter(({ status }) => status === 200).map(({ body }) => body)
        signedIn += issued.length
        for (const { access_token, refresh_token } of [before, ...issued]) {
          const { body } = await api.introspect(access_token)
          const { status } = await api.refresh(refresh_token)
          // A sign-in after the change read the changed account. Its token may live, without the role.
          const isRight = what === 'without the role' && !body.roles?.includes('chief')
          if (body.active && !isRight) t.fail(`${what}, round ${round}: a token lives`)
          if (status === 200 && !isRight) t.fail(`${what}, round ${round}: a refresh token lives`)
        }
      }
      t.ok(signedIn > 0, `${what}: ${signedIn} got an answer before the act`)
    }
  })
}
