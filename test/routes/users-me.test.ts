import { t as file, test } from 'tap'
import type { Api, Tokens } from '../support/api.js'
import { expectDead } from '../support/dead-tokens.js'
import { PASSWORD, type RunningService, startService, stores } from '../support/service.js'
import { isAll } from '../support/size.js'

const NEXT = 'a quite different pass phrase'
/** Rounds of a race. */
const ROUNDS = isAll ? 5 : 2

function changePassword(api: Api, bearer: string, current: string, next: string) {
  return api.call('/users/me/password', { bearer, json: { current_password: current, new_password: next } })
}

function deleteAccount(api: Api, bearer: string, password: string) {
  return api.call('/users/me', { method: 'DELETE', bearer, json: { password } })
}

for (const store of stores) {
  // One service for the tests that need no setting and count no guesses. Each test has its own person.
  let started: Promise<RunningService> | undefined
  const shared = () => (started ??= startService(file, store))

  test(`${store}: a password change ends every other session, and keeps the calling one`, async (t) => {
    const { api } = await shared()
    await api.signUp('ada1', PASSWORD)
    const here = await api.tokens('ada1', PASSWORD)
    const other = await api.tokens('ada1', PASSWORD)

    const { status, text } = await changePassword(api, here.access_token, PASSWORD, NEXT)

    t.match({ status, text }, { status: 204, text: '' })
    await expectDead(t, api, other)
    t.equal(await api.isActive(here.access_token), true)
    t.equal((await api.refresh(here.refresh_token)).status, 200)
    t.equal((await api.login('ada1', PASSWORD)).status, 401)
    t.equal((await api.login('ada1', NEXT)).status, 200)
  })

  test(`${store}: a password change needs the current password, and a new one that obeys the rules`, async (t) => {
    const { api } = await shared()
    await api.signUp('ada2', PASSWORD)
    const here = await api.tokens('ada2', PASSWORD)
    const other = await api.tokens('ada2', PASSWORD)

    const wrong = await changePassword(api, here.access_token, 'not the current one', NEXT)
    t.match(
      { status: wrong.status, error: wrong.body.error, challenge: wrong.headers['www-authenticate'] },
      { status: 401, error: 'invalid_grant', challenge: /^Bearer / },
    )
    const short = await changePassword(api, here.access_token, PASSWORD, 'short')
    t.match(short, { status: 400, body: { error: 'invalid_request', error_description: /too short: use 15/ } })
    const common = await changePassword(api, here.access_token, PASSWORD, 'passwordpassword')
    t.match(common, { status: 400, body: { error_description: /the password repeats itself/ } })
    for (const json of [
      { current_password: PASSWORD },
      { new_password: NEXT },
      { current_password: PASSWORD, new_password: [NEXT] },
    ]) {
      const { status } = await api.call('/users/me/password', { bearer: here.access_token, json })
      t.equal(status, 400)
    }

    t.equal(await api.isActive(other.access_token), true)
    t.equal((await api.login('ada2', PASSWORD)).status, 200)
  })

  for (const [slots, rounds] of [
    ['1', 1],
    ['2', ROUNDS],
  ] as const) {
    test(`${store}: HASH_CONCURRENCY=${slots}: one of two simultaneous password changes holds, and ends the other session`, async (t) => {
      const { api } = await startService(t, store, { HASH_COST: 'full', HASH_CONCURRENCY: slots })
      for (let round = 0; round < rounds; round += 1) {
        const name = `ada-${round}`
        await api.signUp(name, PASSWORD)
        const both: [Tokens, Tokens] = [await api.tokens(name, PASSWORD), await api.tokens(name, PASSWORD)]
        const nexts: [string, string] = ['the password that I want', 'the password of the thief']

        const answers = await Promise.all([
          changePassword(api, both[0].access_token, PASSWORD, nexts[0]),
          changePassword(api, both[1].access_token, PASSWORD, nexts[1]),
        ])

        t.strictSame(answers.map(({ status }) => status).sort(), [204, 401])
        const [winner, loser] = answers[0].status === 204 ? ([0, 1] as const) : ([1, 0] as const)
        t.equal((await api.login(name, nexts[winner])).status, 200)
        t.equal((await api.login(name, nexts[loser])).status, 401)
        t.equal(await api.isActive(both[winner].access_token), true)
        await expectDead(t, api, both[loser])
      }
    })
  }

  test(`${store}: a sign-in with the old password that races the change leaves no session`, async (t) => {
    const { api } = await startService(t, store, { HASH_COST: 'full', HASH_CONCURRENCY: '2' })
    await api.signUp('ada', PASSWORD)
    let current = PASSWORD
    for (let round = 0; round < ROUNDS; round += 1) {
      const here = await api.tokens('ada', current)
      const next = `${PASSWORD} ${round}`
      const [changed, ...racing] = await Promise.all([
        changePassword(api, here.access_token, current, next),
        ...Array.from({ length: 4 }, () => api.login('ada', current)),
      ])
      t.equal(changed.status, 204)
      for (const { status, body } of racing) {
        t.ok(status === 200 || status === 401, `${status}`)
        if (status === 200) t.equal(await api.isActive(body.access_token), false)
      }
      current = next
    }
  })

  test(`${store}: R10: a deleted account and its sessions are gone, and its name is free`, async (t) => {
    const { api } = await shared()
    const { body: first } = await api.signUp('ada3', PASSWORD)
    const here = await api.tokens('ada3', PASSWORD)
    const other = await api.tokens('ada3', PASSWORD)

    const wrong = await deleteAccount(api, here.access_token, 'not the password')
    t.match(
      { status: wrong.status, error: wrong.body.error, challenge: wrong.headers['www-authenticate'] },
      { status: 401, error: 'invalid_grant', challenge: /^Bearer / },
    )
    t.equal((await api.call('/users/me', { method: 'DELETE', bearer: here.access_token })).status, 400)
    for (const { access_token } of [here, other]) t.equal(await api.isActive(access_token), true)

    const { status, text } = await deleteAccount(api, here.access_token, PASSWORD)
    t.match({ status, text }, { status: 204, text: '' })
    for (const tokens of [here, other]) await expectDead(t, api, tokens)
    t.equal((await api.login('ada3', PASSWORD)).status, 401)
    t.equal((await deleteAccount(api, here.access_token, PASSWORD)).status, 401)

    const again = await api.signUp('ada3', PASSWORD)
    t.equal(again.status, 201)
    t.not(again.body.id, first.id)
    for (const tokens of [here, other]) await expectDead(t, api, tokens)
  })

  test(`${store}: password guesses with a stolen token have to wait as guesses at sign-in do`, async (t) => {
    const { api } = await startService(t, store)
    await api.signUp('ada', PASSWORD)
    const { access_token } = await api.tokens('ada', PASSWORD)
    for (let i = 0; i < 5; i += 1) {
      t.equal((await changePassword(api, access_token, `guess ${i}`, NEXT)).status, 401)
    }
    for (const answer of [
      await changePassword(api, access_token, PASSWORD, NEXT),
      await deleteAccount(api, access_token, PASSWORD),
    ]) {
      t.equal(answer.status, 429)
      t.match(answer.headers['retry-after'], /^[1-9]\d*$/)
    }
    t.equal((await api.login('ada', PASSWORD)).status, 200)
  })
}
