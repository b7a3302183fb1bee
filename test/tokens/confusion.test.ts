import { test } from 'tap'
import { claimsOf } from '../support/decode.js'
import { presentAtEveryEndpoint, refusedAnswers } from '../support/endpoints.js'
import { tokenOfLength } from '../support/hostile/payload.js'
import { Forger } from '../support/hostile/tokens.js'
import { type Environment, JWT_SECRET, PASSWORD, startService, startServiceWith, stores } from '../support/service.js'

const OTHER_SECRET = 'another-environment-2Lx7Zr4Vb1Nc8Mw5Td'

for (const store of stores) {
  test(`J24: a refresh token does not work as an access token, on ${store}`, async (t) => {
    const { api } = await startService(t, store)
    await api.signUp('ada', PASSWORD)
    const { sid, access_token, refresh_token } = await api.tokens('ada', PASSWORD)
    const invalidToken = refusedAnswers['sessions, as bearer'].replace(/^.*{/, '{')

    for (const [method, path, json] of [
      ['GET', '/sessions'],
      ['DELETE', `/sessions/${sid}`],
      ['DELETE', '/sessions?except=current'],
      ['POST', '/users/me/password', { current_password: PASSWORD, new_password: `${PASSWORD} 2` }],
      ['DELETE', '/users/me', { password: PASSWORD }],
    ] as const) {
      const { status, headers, text } = await api.call(path, { method, json, bearer: refresh_token })
      t.equal(status, 401, `${method} ${path}`)
      t.equal(headers['www-authenticate'], 'Bearer realm="latchkey", error="invalid_token"')
      t.equal(text, invalidToken)
    }
    t.equal((await api.introspect(refresh_token)).text, '{"active":false}')
    t.equal(await api.isActive(access_token), true)
    t.equal((await api.refresh(refresh_token)).status, 200, 'it is not spent')
  })

  test(`J25: an access token neither refreshes nor revokes, on ${store}`, async (t) => {
    const { api } = await startService(t, store)
    await api.signUp('ada', PASSWORD)
    const { access_token, refresh_token } = await api.tokens('ada', PASSWORD)

    const answers = await Promise.all([
      api.refresh(access_token),
      api.call('/refresh', { form: { grant_type: 'refresh_token', refresh_token: access_token } }),
      api.call('/refresh', { method: 'POST', bearer: access_token }),
    ])
    for (const { status, text } of answers) t.equal(`${status} ${text}`, refusedAnswers['refresh, in the body'])
    t.equal(await api.isActive(access_token), true)
    t.equal((await api.refresh(refresh_token)).status, 200)
  })
}

test('J26: tokens of another environment are refused, even with the same sessions', async (t) => {
  const here = await startService(t, 'sqlite', { AUDIENCE: 'https://here.test' })
  await here.api.signUp('ada', PASSWORD)
  const mine = await here.api.tokens('ada', PASSWORD)
  // An unknown key may be an old key of this service, so a 204 would be a false promise. An unknown audience is not an
  // excuse.
  const environments: Record<string, { overrides: Environment; logout: number; signsOut?: true }> = {
    'another secret': { overrides: { JWT_SECRET: OTHER_SECRET, REFRESH_SECRET: `${OTHER_SECRET}-mac` }, logout: 401 },
    'another issuer': { overrides: { ISSUER: 'http://staging.latchkey.test' }, logout: 204 },
    'another audience': { overrides: { AUDIENCE: 'https://todo.test' }, logout: 204, signsOut: true },
  }

  for (const [what, { overrides, logout, signsOut }] of Object.entries(environments)) {
    // Both instances use one database, so only the token separates them.
    const there = await startServiceWith(t, { ...here.env, ...overrides })
    const theirs = await there.api.tokens('ada', PASSWORD)
    t.equal(await there.api.isActive(theirs.access_token), true, `${what}: at home it is live`)
    t.strictSame(await presentAtEveryEndpoint(here.api, theirs.access_token), refusedAnswers, `${what}: theirs, here`)
    t.strictSame(await presentAtEveryEndpoint(there.api, mine.access_token), refusedAnswers, `${what}: mine, there`)
    t.equal((await here.api.logout(theirs.access_token)).status, logout)
    t.equal(await there.api.isActive(theirs.access_token), signsOut !== true, `${what}: does it sign out?`)
    await there.close()
  }
  t.equal(await here.api.isActive(mine.access_token), true)
})

test('J26: a refresh token belongs to one issuer and one REFRESH_SECRET', async (t) => {
  const here = await startService(t, 'sqlite')
  await here.api.signUp('ada', PASSWORD)
  const mine = await here.api.tokens('ada', PASSWORD)
  for (const [overrides, logout] of [
    // An unknown key may be an old key of this service, so a 204 would be a false promise.
    [{ REFRESH_SECRET: OTHER_SECRET }, 401],
    [{ ISSUER: 'http://staging.latchkey.test' }, 204],
  ] as const) {
    const there = await startServiceWith(t, { ...here.env, ...overrides })
    const theirs = await there.api.tokens('ada', PASSWORD)
    for (const [api, token] of [
      [here.api, theirs.refresh_token],
      [there.api, mine.refresh_token],
    ] as const) {
      const { status, text } = await api.refresh(token)
      t.equal(`${status} ${text}`, refusedAnswers['refresh, in the body'])
      t.equal((await api.logout(token)).status, logout)
    }
    t.equal((await there.api.refresh(theirs.refresh_token)).status, 200, 'at home it is good')
    await there.close()
  }
  t.equal((await here.api.refresh(mine.refresh_token)).status, 200)
})

test('J12: a retired key verifies during the overlap, and not afterwards', async (t) => {
  const before = await startService(t, 'sqlite', { JWT_SECRET: OTHER_SECRET })
  await before.api.signUp('ada', PASSWORD)
  const old = await before.api.tokens('ada', PASSWORD)
  await before.close()

  const overlap = await startServiceWith(t, { ...before.env, JWT_SECRET: `${JWT_SECRET},${OTHER_SECRET}` })
  t.equal(await overlap.api.isActive(old.access_token), true)
  const young = await overlap.api.tokens('ada', PASSWORD)
  await overlap.close()

  const after = await startServiceWith(t, { ...before.env, JWT_SECRET })
  t.strictSame(await presentAtEveryEndpoint(after.api, old.access_token), refusedAnswers)
  t.equal(await after.api.isActive(young.access_token), true)
  t.equal((await after.api.refresh(old.refresh_token)).status, 200, 'the session goes on, with a new access token')
})

test('J32: a token over 8 KB is refused at once, on every route', async (t) => {
  const { api } = await startService(t, 'sqlite')
  await api.signUp('ada', PASSWORD)
  const live = await api.tokens('ada', PASSWORD)
  const forger = new Forger(JWT_SECRET, claimsOf(live.access_token), '')
  const [fits, over, huge] = [tokenOfLength(forger, 8191), tokenOfLength(forger, 8193), tokenOfLength(forger, 15_001)]
  t.equal(await api.isActive(fits), true, 'one that just fits is live')

  // Compares the CPU time of the service and this test for a whole request with that of the live token. Wall time would
  // depend on other processes. A test in test/verifier measures the check alone.
  const cpuOf = async (token: string) => {
    const rounds = 50
    const before = process.cpuUsage()
    for (let round = 0; round < rounds; round++) t.equal((await api.introspect(token)).body.active, token === fits)
    const { user, system } = process.cpuUsage(before)
    return (user + system) / 1000 / rounds
  }
  const live8k = await cpuOf(fits)
  for (const token of [over, huge]) {
    t.equal((await api.introspect(token)).text, '{"active":false}')
    const milliseconds = await cpuOf(token)
    t.ok(milliseconds < 3 * live8k, `${milliseconds} ms of CPU each, and ${live8k} ms for a live token`)
  }

  const asHeader = await api.call('/sessions', { bearer: over })
  t.equal(asHeader.status, 431, 'as a header it is over what all headers may be')
  t.equal(asHeader.body.error, 'invalid_request')
  const asBody = await api.introspect('a'.repeat(17_000))
  t.equal(asBody.status, 413, 'over 16 KiB it is over what a body may be')
  t.equal(await api.isActive(live.access_token), true)
})
