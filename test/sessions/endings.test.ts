import { type Test, test } from 'tap'
import { createLogger } from '../../src/log.js'
import { openStores } from '../../src/stores.js'
import { createPasswordHashing } from '../../src/users/password-hashing.js'
import { createUsers } from '../../src/users/users.js'
import type { Tokens } from '../support/api.js'
import { expectEvents } from '../support/audit-events.js'
import { expectDead } from '../support/dead-tokens.js'
import { eventually, untilItSucceeds } from '../support/eventually.js'
import { PASSWORD, type RunningService, startService, stores } from '../support/service.js'

for (const store of stores) {
  test(`${store}: R7: any token of a session signs it out, and a second sign-out is not an error`, async (t) => {
    const { api, audited } = await startService(t, store)
    await api.signUp('ada', PASSWORD)
    const other = await api.tokens('ada', PASSWORD)
    const ways: Record<string, (tokens: Tokens, before: Tokens) => Promise<{ status: number }>> = {
      'access token': ({ access_token }) => api.logout(access_token),
      'refresh token': ({ refresh_token }) => api.logout(refresh_token),
      'access token in the body': ({ access_token: token }) => api.call('/logout', { json: { token } }),
      'refresh token in a form': ({ refresh_token: token }) => api.call('/logout', { form: { token } }),
      'earlier access token': (_, { access_token }) => api.logout(access_token),
      'refresh token that was rotated': (_, { refresh_token }) => api.logout(refresh_token),
    }
    for (const [way, signOut] of Object.entries(ways)) {
      const before = await api.tokens('ada', PASSWORD)
      const tokens = (await api.refresh(before.refresh_token)).body

      t.equal((await signOut(tokens, before)).status, 204, way)
      await expectDead(t, api, tokens)
      await expectDead(t, api, before)
      t.equal((await signOut(tokens, before)).status, 204, `${way}, again`)
    }
    t.equal(await api.isActive(other.access_token), true)
    t.equal(audited('session.ended').length, Object.keys(ways).length, 'again is no event')
  })

  test(`${store}: R7: a sign-out with a meaningless token ends nothing and is not an error; without a token it is an error`, async (t) => {
    const { api } = await startService(t, store)
    await api.signUp('ada', PASSWORD)
    const { access_token: access, refresh_token: refresh } = await api.tokens('ada', PASSWORD)

    for (const unknown of ['x', `${access}x`, `${refresh.slice(0, -1)}x`, 'lkr_AAAA']) {
      t.equal((await api.logout(unknown)).status, 204, unknown)
    }
    t.equal((await api.call('/logout', { method: 'POST' })).status, 401)
    t.equal(await api.isActive(access), true)
  })

  test(`${store}: R7: an expired access token still signs out`, async (t) => {
    const { api } = await startService(t, store, { ACCESS_TTL: '1s' })
    await api.signUp('ada', PASSWORD)
    const tokens = await api.tokens('ada', PASSWORD)
    await eventually(async () => !(await api.isActive(tokens.access_token)))

    t.equal((await api.logout(tokens.access_token)).status, 204)

    t.equal((await api.refresh(tokens.refresh_token)).status, 400)
  })

  test(`${store}: R10: a disabled user has no live token, and gets none`, async (t) => {
    const service = await startService(t, store)
    const { users, sessions } = await openServices(t, service)
    const { api } = service
    const { id } = (await api.signUp('ada', PASSWORD)).body
    const tokens = [await api.tokens('ada', PASSWORD), await api.tokens('ada', PASSWORD)]

    t.equal(await users.disable(id), true)
    t.equal((await sessions.revokeAll(id)).length, 2)

    for (const each of tokens) await expectDead(t, api, each)
    t.equal((await api.login('ada', PASSWORD)).status, 401)
    await users.enable(id)
    for (const each of tokens) await expectDead(t, api, each)
    t.equal((await api.login('ada', PASSWORD)).status, 200)
  })

  test(`${store}: R13: past the limit the longest unused session ends, and the audit log gives the reason`, async (t) => {
    const { api, audited } = await startService(t, store, { SESSIONS_PER_USER: '3' })
    await api.signUp('ada', PASSWORD)
    const signIn = async () => {
      const tokens = await api.tokens('ada', PASSWORD)
      // The next use must have a later millisecond.
      const now = Date.now()
      await eventually(() => Date.now() > now + 1)
      return tokens
    }
    const [first, second, third] = [await signIn(), await signIn(), await signIn()]
    await api.refresh(first.refresh_token)

    const fourth = await signIn()

    await expectDead(t, api, second)
    for (const { access_token } of [first, third, fourth]) t.equal(await api.isActive(access_token), true)
    expectEvents(t, audited('session.ended'), [{ sids: [second.sid], reason: 'too_many' }])
  })
}

/** What an administrator's tool uses: the same stores, without HTTP. */
async function openServices(t: Test, { config }: RunningService) {
  const { database, sessions, close } = await openStores(config, createLogger('silent'))
  t.teardown(close)
  await untilItSucceeds(() => sessions.ping())
  return { users: createUsers(database, createPasswordHashing({ concurrency: 1, queue: 1 })), sessions }
}
