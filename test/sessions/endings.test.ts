import { type Test, test } from 'tap'
import { createLogger } from '../../src/log.js'
import { openStores } from '../../src/stores.js'
import { createPasswordHashing } from '../../src/users/password-hashing.js'
import { createUsers } from '../../src/users/users.js'
import type { Api, Tokens } from '../support/api.js'
import { eventually, untilItSucceeds } from '../support/eventually.js'
import { PASSWORD, type RunningService, startService, stores } from '../support/service.js'
import { isAll } from '../support/size.js'

/** Rounds of a race. */
const ROUNDS = isAll ? 5 : 2

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
      await isDead(t, api, tokens)
      await isDead(t, api, before)
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

  test(`${store}: sign-out everywhere ends all sessions; DELETE of one or of the others ends only those`, async (t) => {
    const { api } = await startService(t, store)
    await api.signUp('ada', PASSWORD)
    await api.signUp('eve', PASSWORD)
    const eve = await api.tokens('eve', PASSWORD)
    const signIns = () => Promise.all([1, 2, 3].map(() => api.tokens('ada', PASSWORD))) as Promise<ThreeTokens>
    const [first, second, third] = await signIns()

    const remove = (path: string) => api.call(path, { method: 'DELETE', bearer: first.access_token })
    t.equal((await remove(`/sessions/${eve.sid}`)).status, 204)
    t.equal((await remove('/sessions/nobodys')).status, 204)
    t.equal((await remove('/sessions/%00')).status, 400)
    t.equal((await remove(`/sessions/${second.sid}`)).status, 204)
    await isDead(t, api, second)
    t.equal(await api.isActive(third.access_token), true)

    t.equal((await remove('/sessions?except=current')).status, 204)
    await isDead(t, api, third)
    t.equal(await api.isActive(first.access_token), true)

    const [fourth, fifth] = await signIns()
    t.equal((await api.call('/logout-all', { method: 'POST', bearer: fourth.refresh_token })).status, 204)
    for (const tokens of [first, fourth, fifth]) await isDead(t, api, tokens)
    t.equal((await api.call('/logout-all', { method: 'POST', bearer: fourth.refresh_token })).status, 401)
    t.equal(await api.isActive(eve.access_token), true, 'another user’s session is nobody else’s business')
  })

  test(`${store}: R10: a disabled user has no live token, and gets none`, async (t) => {
    const service = await startService(t, store)
    const { users, sessions } = await rooms(t, service)
    const { api } = service
    const { id } = (await api.signUp('ada', PASSWORD)).body
    const tokens = [await api.tokens('ada', PASSWORD), await api.tokens('ada', PASSWORD)]

    t.equal(await users.disable(id), true)
    t.equal((await sessions.revokeAll(id)).length, 2)

    for (const each of tokens) await isDead(t, api, each)
    t.equal((await api.login('ada', PASSWORD)).status, 401)
    await users.enable(id)
    for (const each of tokens) await isDead(t, api, each)
    t.equal((await api.login('ada', PASSWORD)).status, 200)
  })

  test(`${store}: R10: a deleted user has no live token, and gets none`, async (t) => {
    const { api } = await startService(t, store)
    await api.signUp('ada', PASSWORD)
    const [tokens, other] = [await api.tokens('ada', PASSWORD), await api.tokens('ada', PASSWORD)]
    const remove = (password: string) =>
      api.call('/users/me', { method: 'DELETE', json: { password }, bearer: tokens.access_token })

    t.equal((await remove('not the password')).status, 401)
    t.equal(await api.isActive(tokens.access_token), true)
    t.equal((await remove(PASSWORD)).status, 204)

    for (const each of [tokens, other]) await isDead(t, api, each)
    t.equal((await api.login('ada', PASSWORD)).status, 401)
    t.equal((await api.signUp('ada', PASSWORD)).status, 201, 'the name is free')
    for (const each of [tokens, other]) await isDead(t, api, each)
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

    await isDead(t, api, second)
    for (const { access_token } of [first, third, fourth]) t.equal(await api.isActive(access_token), true)
    t.match(audited('session.ended'), [{ sids: [second.sid], reason: 'too_many' }])
  })

  test(`${store}: a password change ends every other session; one of two simultaneous changes succeeds`, async (t) => {
    const { api } = await startService(t, store, { HASH_COST: 'full', HASH_CONCURRENCY: '2' })
    for (let round = 0; round < ROUNDS; round += 1) {
      const name = `ada-${round}`
      await api.signUp(name, PASSWORD)
      const [mine, thiefs] = [await api.tokens(name, PASSWORD), await api.tokens(name, PASSWORD)]
      const change = ({ access_token: bearer }: Tokens, next: string) =>
        api.call('/users/me/password', { bearer, json: { current_password: PASSWORD, new_password: next } })
      const passwords = ['a password of my own choice', 'a password that the thief chose']

      const answers = await Promise.all([change(mine, passwords[0] as string), change(thiefs, passwords[1] as string)])

      t.strictSame(answers.map(({ status }) => status).sort(), [204, 401])
      const winner = answers.findIndex(({ status }) => status === 204)
      t.equal((await api.login(name, passwords[winner] as string)).status, 200)
      t.equal((await api.login(name, passwords[1 - winner] as string)).status, 401)
      const both = [mine, thiefs] as [Tokens, Tokens]
      t.equal(await api.isActive((both[winner] as Tokens).access_token), true)
      await isDead(t, api, both[1 - winner] as Tokens)
    }
  })

  test(`${store}: a device name may hold any letter, and nothing but text`, async (t) => {
    const { api } = await startService(t, store)
    await api.signUp('ada', PASSWORD)
    const bearer = (await api.tokens('ada', PASSWORD, { device_name: 'Αda’s 📱' })).access_token

    t.match((await api.call('/sessions', { bearer })).body.sessions, [{ device_name: 'Αda’s 📱' }])
    for (const name of ['a\0b', 'a\u001b[31m', 'a\nb', '\u0085', 'x'.repeat(101), '']) {
      t.equal((await api.login('ada', PASSWORD, { device_name: name })).status, 400, JSON.stringify(name))
    }
  })
}

type ThreeTokens = [Tokens, Tokens, Tokens]

/** What an administrator's tool uses: the same stores, without HTTP. */
async function rooms(t: Test, { config }: RunningService) {
  const { database, sessions, close } = await openStores(config, createLogger('silent'))
  t.teardown(close)
  await untilItSucceeds(() => sessions.ping())
  return { users: createUsers(database, createPasswordHashing({ concurrency: 1, queue: 1 })), sessions }
}

async function isDead(t: Test, api: Api, { access_token, refresh_token }: Tokens): Promise<void> {
  t.strictSame((await api.introspect(access_token)).body, { active: false })
  t.equal((await api.refresh(refresh_token)).status, 400)
  t.equal((await api.call('/sessions', { bearer: access_token })).status, 401)
}
