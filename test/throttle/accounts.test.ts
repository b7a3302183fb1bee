import { test } from 'tap'
import { type Api, untilAvailable } from '../support/api.js'
import { PASSWORD, startService } from '../support/service.js'

const NEXT = 'a quite different pass phrase'

/** Sends requests from a chosen address. */
const PROXIED = { TRUST_PROXY: '127.0.0.1' }
const from = (address: string) => ({ 'x-forwarded-for': address })
const login = (api: Api, address: string, username: string, password: string) =>
  untilAvailable(() => api.call('/login', { json: { username, password }, headers: from(address) }))
const changePassword = (api: Api, address: string, bearer: string, current: string) =>
  untilAvailable(() =>
    api.call('/users/me/password', {
      bearer,
      json: { current_password: current, new_password: NEXT },
      headers: from(address),
    }),
  )
const HOME = '198.51.100.7'

async function signIn(api: Api, username: string): Promise<{ sub: string; bearer: string }> {
  const sub: string = (await api.signUp(username, PASSWORD)).body.id
  return { sub, bearer: (await login(api, HOME, username, PASSWORD)).body.access_token }
}

// Without Redis the process counts guesses, whatever the database is.
for (const store of ['sqlite', 'redis'] as const) {
  test(`${store}: a sign-in to an account named like another's id does not forgive guesses at the other's password`, async (t) => {
    const { api } = await startService(t, store, PROXIED)
    const { sub, bearer: stolen } = await signIn(api, 'ada')
    t.equal((await api.signUp(sub, PASSWORD)).status, 201)

    // The fifth wrong password makes an address wait, so each address sends four.
    let compared = 0
    for (let i = 0; i < 27; i += 1) {
      for (let guess = 0; guess < 4; guess += 1) {
        if ((await changePassword(api, `10.0.0.${i}`, stolen, `wrong ${guess}`)).status === 401) compared += 1
      }
      t.equal((await login(api, `10.0.0.${i}`, sub, PASSWORD)).status, 200)
      if (i === 0) {
        t.equal((await changePassword(api, '10.0.0.0', stolen, 'wrong')).status, 401)
        t.equal((await changePassword(api, '10.0.0.0', stolen, 'wrong')).status, 429, 'the fifth was not forgiven')
        compared += 1
      }
    }
    t.equal(compared, 100, 'of 109 guesses')
  })

  test(`${store}: guesses at one password count together, at sign-in and at "your password again"`, async (t) => {
    const { api } = await startService(t, store, PROXIED)
    const { bearer: stolen } = await signIn(api, 'ada')
    const statuses: number[] = []
    for (let i = 0; i < 60; i += 1) {
      statuses.push((await login(api, `10.0.1.${i}`, 'ada', `wrong ${i}`)).status)
      statuses.push((await changePassword(api, `10.0.2.${i}`, stolen, `wrong too ${i}`)).status)
    }
    t.equal(statuses.filter((status) => status === 401).length, 100)
    t.equal(statuses.filter((status) => status === 429).length, 20)
    t.equal((await changePassword(api, HOME, stolen, PASSWORD)).status, 204, 'and she changes it where she is known')
  })

  test(`${store}: L12: guesses at sign-in, even from the victim's own address, do not block the victim's password change`, async (t) => {
    const { api } = await startService(t, store, PROXIED)
    const { bearer } = await signIn(api, 'ada')
    for (let i = 0; i < 100; i += 1) await login(api, `10.0.6.${i}`, 'ada', `wrong ${i}`)
    t.equal((await login(api, '10.0.7.1', 'ada', 'wrong')).status, 429)
    for (let i = 0; i < 5; i += 1) await login(api, HOME, 'ada', `wrong ${i}`)
    t.equal((await login(api, HOME, 'ada', PASSWORD)).status, 429)
    t.equal((await changePassword(api, HOME, bearer, PASSWORD)).status, 204)
  })

  test(`${store}: wrong sign-ins with a person's id as the user name never delay that person`, async (t) => {
    const { api } = await startService(t, store, PROXIED)
    const { sub, bearer } = await signIn(api, 'ada')
    for (let i = 0; i < 105; i += 1) await login(api, `10.0.3.${i}`, sub, `wrong ${i}`)
    t.equal((await login(api, '10.0.4.1', sub, 'wrong')).status, 429, 'the name is throttled')
    t.equal((await changePassword(api, '192.0.2.9', bearer, 'mistyped')).status, 401, 'the person is not')
    t.equal((await changePassword(api, '192.0.2.9', bearer, PASSWORD)).status, 204)
  })

  test(`${store}: an address that a deleted account trusted is not trusted for the next account of that name`, async (t) => {
    const { api } = await startService(t, store, PROXIED)
    const { bearer } = await signIn(api, 'ada')
    t.equal((await api.call('/users/me', { method: 'DELETE', bearer, json: { password: PASSWORD } })).status, 204)
    await api.signUp('ada', NEXT)
    for (let i = 0; i < 105; i += 1) await login(api, `10.0.5.${i}`, 'ada', `wrong ${i}`)
    t.equal((await login(api, HOME, 'ada', 'wrong')).status, 429)
  })

  test(`${store}: one address may sign up 300 times an hour; then it gets 429 with Retry-After, and other addresses go on`, async (t) => {
    const { api, audited } = await startService(t, store, PROXIED)
    const signUp = (address: string, username: string) =>
      untilAvailable(() => api.call('/users', { json: { username, password: PASSWORD }, headers: from(address) }))
    t.equal((await signUp('192.0.2.1', 'ada')).status, 201)
    const answers = await Promise.all(Array.from({ length: 20 }, () => signUp('192.0.2.1', 'a name with spaces')))
    t.ok(
      answers.every(({ status }) => status === 400),
      'what breaks a rule does not count',
    )
    for (let i = 0; i < 299; i += 1) {
      const { status } = await signUp('192.0.2.1', 'ada')
      if (status !== 409) t.fail(`sign-up ${i} answered ${status}`)
    }

    const refused = await signUp('192.0.2.1', 'bob')

    t.match(refused, {
      status: 429,
      headers: { 'retry-after': /^\d+$/ },
      body: {
        error: 'temporarily_unavailable',
        error_description: /^too many sign-ups from this address: try again in/,
      },
    })
    t.ok(Number(refused.headers['retry-after']) <= 3600)
    t.match(audited('user.create_refused'), [{ reason: 'throttled', ip: '192.0.2.1' }])
    t.equal((await signUp('192.0.2.2', 'bob')).status, 201)
    t.equal((await login(api, '192.0.2.1', 'bob', PASSWORD)).status, 200, 'and signing in is another matter')
  })
}
