import { Redis } from 'ioredis'
import { t as file, test } from 'tap'
import { withAccounts } from '../support/accounts.js'
import { type Api, basicAuthorization } from '../support/api.js'
import { secondsNow } from '../support/assertions.js'
import { expectEvents } from '../support/audit-events.js'
import { AuthenticatorApp } from '../support/authenticator-app.js'
import { claimsOf } from '../support/decode.js'
import { untilNextSecond } from '../support/eventually.js'
import { enrolPasskey, enrolTotp, loginMfa, mfaToken, newPerson, passkeyOptions } from '../support/factors.js'
import { Forger } from '../support/hostile/forger.js'
import { outline } from '../support/outline.js'
import {
  anyStore,
  JWT_SECRET,
  PASSWORD,
  type RunningService,
  startReady,
  startService,
  stores,
} from '../support/service.js'
import { isAll } from '../support/size.js'

const factorsOf = (api: Api, bearer: string) => api.call('/users/me/factors', { bearer })

/** How the person of this token proved who they are. */
function authenticationOf(token: string): { amr: string[]; acr: string } {
  const { amr, acr } = claimsOf(token)
  return { amr, acr }
}

for (const store of stores) {
  // One service for the rules that need no setting. Each test has its own people.
  let started: Promise<RunningService> | undefined
  const shared = () => (started ??= startService(file, store))

  test(`${store}: TOTP is enrolled with a code, brings recovery codes, and sign-in then asks for it`, async (t) => {
    const service = await shared()
    const { api } = service
    const { sub, tokens } = await newPerson(api, 'ada1')
    const other = await api.tokens('ada1', PASSWORD)
    t.strictSame((await factorsOf(api, tokens.access_token)).body, {
      factors: [],
      recovery_codes_left: 0,
      mfa_required: false,
    })

    const { app, answer } = await enrolTotp(api, tokens.access_token)

    t.match(answer.body.factor, { type: 'totp', name: null, created_at: Number, last_used_at: null })
    t.equal(new Set(answer.body.recovery_codes).size, 10)
    t.equal(answer.headers['cache-control'], 'no-store')
    t.ok(await api.isActive(tokens.access_token), 'the session that enrolled lives')
    t.notOk(await api.isActive(other.access_token), 'every other session has ended')
    const ended = service.audited('session.ended').filter((line) => line.sub === sub)
    expectEvents(t, ended, [{ sids: [other.sid], reason: 'factors_changed' }])

    const refused = await api.login('ada1', PASSWORD)
    t.match(refused, { status: 403, headers: { 'cache-control': 'no-store' } })
    t.match(refused.body, { error: 'mfa_required', expires_in: 300 })
    t.strictSame(refused.body.factors, ['totp', 'recovery_code'])
    t.equal((await api.login('ada1', 'not the password')).status, 401)

    const signedIn = await loginMfa(api, refused.body.mfa_token, { totp: await app.next() })
    t.equal(signedIn.status, 200, signedIn.text)
    t.equal(claimsOf(signedIn.body.access_token).sub, sub)
    t.strictSame(authenticationOf(signedIn.body.access_token), { amr: ['pwd', 'otp', 'mfa'], acr: '2' })
    t.equal((await api.refresh(signedIn.body.refresh_token)).status, 200)
    expectEvents(t, service.audited('login.accepted').slice(-1), [{ sub, amr: ['pwd', 'otp', 'mfa'] }])

    const recovered = await loginMfa(api, await mfaToken(api, 'ada1'), { recovery_code: answer.body.recovery_codes[0] })
    t.strictSame(authenticationOf(recovered.body.access_token), { amr: ['pwd', 'otp', 'mfa'], acr: '2' })
    const listed = await factorsOf(api, recovered.body.access_token)
    t.match(listed.body, { factors: [{ type: 'totp', last_used_at: Number }], recovery_codes_left: 9 })
    t.equal(listed.body.factors.length, 1)
    t.notMatch(service.log.map((line) => JSON.stringify(line)).join('\n'), answer.body.recovery_codes[0])
    t.notMatch(service.log.map((line) => JSON.stringify(line)).join('\n'), app.secret)
  })

  test(`${store}: M1, M4 a code of an app is good once, and so is a recovery code, also ×20 in parallel`, async (t) => {
    const { api } = await shared()
    const enrolled = async (name: string) => {
      const { app, answer } = await enrolTotp(api, (await newPerson(api, name)).tokens.access_token)
      return { totp: { totp: await app.next() }, recovery: { recovery_code: answer.body.recovery_codes[0] } }
    }
    const ada = await enrolled('ada2')
    for (const factor of [ada.totp, ada.recovery]) {
      t.equal((await loginMfa(api, await mfaToken(api, 'ada2'), factor)).status, 200)
      t.match(await loginMfa(api, await mfaToken(api, 'ada2'), factor), {
        status: 401,
        body: { error: 'invalid_grant' },
      })
    }
    // The waits for wrong codes are each account's own.
    for (const [name, type] of [
      ['bob2', 'totp'],
      ['cy2', 'recovery'],
    ] as const) {
      const factor = (await enrolled(name))[type]
      const mfaTokens = await Promise.all(Array.from({ length: 20 }, () => mfaToken(api, name)))
      const answers = await Promise.all(mfaTokens.map((token) => loginMfa(api, token, factor)))
      const statuses = answers.map(({ status }) => status)
      t.equal(statuses.filter((status) => status === 200).length, 1, String(statuses))
      t.ok(statuses.every((status) => [200, 401, 429].includes(status)))
    }
  })

  test(`${store}: M5 an mfa_token dies with its use, a change of the password, its account, and is nobody else's`, async (t) => {
    const service = await shared()
    const { api } = service
    const ada = await newPerson(api, 'ada3')
    const bob = await newPerson(api, 'bob3')
    const { answer } = await enrolTotp(api, ada.tokens.access_token)
    const { app: bobsApp } = await enrolTotp(api, bob.tokens.access_token)
    const codes: string[] = answer.body.recovery_codes
    const use = (token: string, i: number) => loginMfa(api, token, { recovery_code: codes[i] })

    const token = await mfaToken(api, 'ada3')
    t.equal((await loginMfa(api, token, { totp: await bobsApp.next() })).status, 401, 'the factor of another account')
    t.equal((await use(token, 0)).status, 200)
    t.match(await use(token, 1), { status: 400, body: { error: 'invalid_grant' } }, 'twice')

    for (const none of [`${token.slice(0, -2)}AA`, 'lkt_forged', ada.tokens.access_token, ada.tokens.refresh_token]) {
      t.match(await use(none, 2), { status: 400, body: { error: 'invalid_grant' } }, none.slice(0, 10))
    }
    for (const [bearer, path] of [
      [token, '/users/me/factors'],
      [token, '/sessions'],
      [token, '/verify'],
    ] as const) {
      t.equal((await api.call(path, { bearer })).status, 401, `${path} does not take an mfa_token`)
    }
    t.equal((await api.call('/users/me/factors/totp', { method: 'POST', bearer: token })).status, 401)

    const before = await mfaToken(api, 'ada3')
    const { access_token: bearer } = (await use(await mfaToken(api, 'ada3'), 3)).body
    const renewed = 'seven tame otters hum'
    const change = { current_password: PASSWORD, new_password: renewed }
    t.equal((await api.call('/users/me/password', { bearer, json: change })).status, 204)
    t.equal((await use(before, 4)).status, 400, 'after a change of the password')

    const disabled = await mfaToken(api, 'ada3', renewed)
    const admin = { method: 'POST', headers: basicAuthorization(api.client) }
    t.equal((await api.call(`/admin/users/${ada.sub}/disable`, admin)).status, 204)
    t.equal((await use(disabled, 5)).status, 400, 'of a disabled account')
    t.equal((await loginMfa(api, token, {})).status, 400)
    t.equal(service.audited('login.refused').filter(({ reason }) => reason === 'mfa_token').length, 8)
  })

  test(`${store}: M5 a used mfa_token costs no code, whatever the code is, also at once on two replicas`, async (t) => {
    const service = await shared()
    const { api } = service
    const replica = await startReady(t, service.env)
    const { tokens } = await newPerson(api, 'ada13')
    const { app, answer } = await enrolTotp(api, tokens.access_token)
    const [first, second, ...codes]: string[] = answer.body.recovery_codes
    const left = async () => (await factorsOf(api, tokens.access_token)).body.recovery_codes_left

    const token = await mfaToken(api, 'ada13')
    t.equal((await loginMfa(api, token, { recovery_code: first })).status, 200)
    const right = [{ recovery_code: second }, { totp: await app.next() }]
    const wrong = Array.from({ length: 6 }, (_, i) => ({ totp: `00000${i}` }))
    const refused = await Promise.all(
      [...right, { recovery_code: first }, ...wrong].map((factor) => loginMfa(api, token, factor)),
    )
    for (const { status, text } of refused) t.match({ status, text }, { status: 400, text: refused[0]?.text })
    t.equal(await left(), 9)
    const fresh = await loginMfa(api, await mfaToken(api, 'ada13'), { totp: right[1]?.totp })
    t.equal(fresh.status, 200, 'the code of the app is still good, and nobody waits')

    const raced = await mfaToken(api, 'ada13')
    const answers = await Promise.all(
      codes.map((code, i) => loginMfa(i % 2 ? api : replica.api, raced, { recovery_code: code })),
    )
    const statuses = answers.map(({ status }) => status)
    t.equal(statuses.filter((status) => status === 200).length, 1, String(statuses))
    t.ok(
      statuses.every((status) => [200, 400, 429].includes(status)),
      String(statuses),
    )
    t.equal(await left(), 8, 'one sign-in cost one code')
    t.equal((await loginMfa(api, await mfaToken(api, 'ada13'), { recovery_code: second })).status, 200)
  })

  test(`${store}: M3 guesses at a second factor: five are compared, over all addresses, then waits as for passwords`, async (t) => {
    const guesses = isAll ? 1000 : 200
    const service = await startService(t, store, { TRUST_PROXY: '127.0.0.1' })
    const { api } = service
    const { tokens } = await newPerson(api, 'ada')
    const { app } = await enrolTotp(api, tokens.access_token)
    // The app may wait for its next step, so it gives the code before the guesses.
    const right = await app.next()
    const token = await mfaToken(api, 'ada')
    const guess = (i: number) =>
      api.call('/login/mfa', {
        json: { mfa_token: token, totp: String(i).padStart(6, '0') },
        headers: { 'x-forwarded-for': `192.0.${i % 100}.1` },
      })

    const began = performance.now()
    const answers = await Promise.all(Array.from({ length: guesses }, (_, i) => guess(i)))

    // A slow machine answers the last guesses when a wait is over: the wait is 5 s, and doubles after each comparison.
    let allowed = 5
    for (let over = 5000; began + over < performance.now(); over = over * 2 + 5000) allowed += 1
    const compared = answers.filter(({ status }) => status === 401).length
    t.ok(compared <= allowed, `${compared} were compared, and ${allowed} may be`)
    const others = answers.filter(({ status }) => status !== 401 && status !== 429)
    t.strictSame(new Set(others.map(({ status }) => status)), new Set())
    for (const { status, headers } of answers) if (status === 429) t.ok(Number(headers['retry-after']) >= 1)
    const { headers } = await guess(guesses)
    const told = performance.now()
    const waits = await loginMfa(api, token, { totp: right })
    // The header rounds up. It is missing when this guess was compared, and a longer wait began.
    const wait = Number(headers['retry-after'] ?? 5) * 1000 - 1000
    if (performance.now() - told < wait) t.equal(waits.status, 429, 'the right code waits too')
    t.equal((await api.login('ada', PASSWORD)).status, 403, 'the password does not wait')
    t.match(service.audited('factor.refused')[0], { reason: 'wrong_code', type: 'totp' })
  })

  test(`${store}: M12 wrong factors of a service that received a token make its step-up wait, and not the sign-in`, async (t) => {
    const { api } = await shared()
    const { tokens } = await newPerson(api, 'ada12')
    const { app } = await enrolTotp(api, tokens.access_token)
    const stepUp = (totp: string) => api.call('/login/step-up', { bearer: tokens.access_token, json: { totp } })
    // The app may wait for its next step, so it gives the codes before the wait of 5 s begins.
    const [one, other] = [await app.next(), await app.next()]
    for (let i = 0; i < 5; i += 1) t.equal((await stepUp(`00000${i}`)).status, 401)
    t.equal((await stepUp('000005')).status, 429)

    const signedIn = await loginMfa(api, await mfaToken(api, 'ada12'), { totp: one })
    t.equal(signedIn.status, 200, signedIn.text)
    t.equal((await stepUp(other)).status, 429, 'a sign-in does not forgive the guesses at the step-up')
  })

  test(`${store}: M7 factors change only within 5 minutes of a sign-in, with a factor if there was one`, async (t) => {
    const { api } = await shared()
    const { tokens } = await newPerson(api, 'ada4')
    const { app, answer } = await enrolTotp(api, tokens.access_token)
    const id = answer.body.factor.id
    const remove = (bearer: string) => api.call(`/users/me/factors/${id}`, { method: 'DELETE', bearer })

    // As if the sign-in were 6 minutes old. A refresh renews the token, and not the time of the sign-in.
    const { access_token: renewed } = (await api.refresh(tokens.refresh_token)).body
    t.equal(claimsOf(renewed).auth_time, claimsOf(tokens.access_token).auth_time)
    const old = new Forger(JWT_SECRET, claimsOf(renewed), '').withClaims({ auth_time: secondsNow() - 360 })
    const routes = [
      ['POST', '/users/me/factors/totp'],
      ['POST', '/users/me/factors/totp/confirm'],
      ['POST', '/users/me/factors/passkeys/options'],
      ['POST', '/users/me/factors/passkeys'],
      ['POST', '/users/me/factors/recovery-codes'],
      ['DELETE', `/users/me/factors/${id}`],
    ] as const
    for (const [method, path] of routes) {
      const { status, headers, body } = await api.call(path, { method, bearer: old, json: {} })
      t.equal(status, 401, path)
      t.match(headers['www-authenticate'], 'error="insufficient_user_authentication", max_age="300"')
      t.equal(body.error, 'insufficient_user_authentication')
    }
    t.equal((await factorsOf(api, old)).status, 200, 'to look needs no recent sign-in')

    // A thief of the token who knows the password cannot remove the factor.
    const weak = await api.call('/login/step-up', { bearer: tokens.access_token, json: { password: PASSWORD } })
    t.strictSame(authenticationOf(weak.body.access_token), { amr: ['pwd'], acr: '1' })
    await untilNextSecond()
    const again = await api.call('/login/step-up', { bearer: weak.body.access_token, json: { password: PASSWORD } })
    const refused = await remove(again.body.access_token)
    t.match(refused, { status: 401, headers: { 'www-authenticate': /acr_values="2", max_age="300"/ } })

    const strong = await api.call('/login/step-up', {
      bearer: again.body.access_token,
      json: { totp: await app.next() },
    })
    t.equal(claimsOf(strong.body.access_token).sid, tokens.sid)
    t.strictSame(authenticationOf(strong.body.access_token), { amr: ['pwd', 'otp', 'mfa'], acr: '2' })
    t.equal((await remove(strong.body.access_token)).status, 204)
    t.equal((await remove(strong.body.access_token)).status, 404)
    t.equal((await api.login('ada4', PASSWORD)).status, 200, 'no factor is asked for any more')
  })

  test(`${store}: a removed factor ends the other sessions and its codes; new recovery codes end the old`, async (t) => {
    const { api } = await shared()
    const { tokens } = await newPerson(api, 'ada5')
    const { app, answer } = await enrolTotp(api, tokens.access_token)
    const renewed = await api.call('/users/me/factors/recovery-codes', { method: 'POST', bearer: tokens.access_token })
    t.equal(renewed.body.recovery_codes.length, 10)
    const token = await mfaToken(api, 'ada5')
    t.equal((await loginMfa(api, token, { recovery_code: answer.body.recovery_codes[0] })).status, 401)
    const other = (await loginMfa(api, token, { recovery_code: renewed.body.recovery_codes[0] })).body

    // M8: a sign-in is under way while the factor goes.
    const underWay = await mfaToken(api, 'ada5')
    const path = `/users/me/factors/${answer.body.factor.id}`
    t.equal((await api.call(path, { method: 'DELETE', bearer: tokens.access_token })).status, 204)
    t.notOk(await api.isActive(other.access_token))
    t.ok(await api.isActive(tokens.access_token))
    t.equal((await loginMfa(api, underWay, { totp: await app.next() })).status, 400, 'the removed factor')
    t.equal((await loginMfa(api, underWay, { recovery_code: renewed.body.recovery_codes[1] })).status, 400)
    t.strictSame((await factorsOf(api, tokens.access_token)).body.recovery_codes_left, 0)
  })

  test(`${store}: M11 MFA=required: an account without a factor can enrol one, and do nothing else`, async (t) => {
    const service = await startService(t, store, { MFA: 'required' })
    const { api } = service
    const { body: ada } = await api.signUp('ada', PASSWORD)
    const refused = await api.login('ada', PASSWORD)
    t.match(refused, { status: 403, body: { error: 'mfa_required', expires_in: 300 } })
    t.strictSame(refused.body.factors, [])
    const ticket = refused.body.mfa_token
    t.equal((await loginMfa(api, ticket, { totp: '123456' })).status, 400)
    for (const [method, path] of [
      ['GET', '/sessions'],
      ['GET', '/verify'],
      ['GET', '/users/me/factors'],
      ['POST', '/users/me/factors/recovery-codes'],
      ['DELETE', '/users/me'],
      ['POST', '/login/step-up'],
      ['POST', '/logout-all'],
    ] as const) {
      t.equal((await api.call(path, { method, bearer: ticket })).status, 401, path)
    }
    t.notOk(await api.isActive(ticket))

    const { answer } = await enrolTotp(api, ticket)

    t.equal(answer.body.recovery_codes.length, 10)
    const bearer = answer.body.tokens.access_token
    t.equal(claimsOf(bearer).sub, ada.id)
    t.strictSame(authenticationOf(bearer), { amr: ['pwd', 'otp', 'mfa'], acr: '2' })
    t.equal((await api.call('/users/me/factors/totp', { method: 'POST', bearer: ticket })).status, 401, 'once')
    const last = await api.call(`/users/me/factors/${answer.body.factor.id}`, { method: 'DELETE', bearer })
    t.match(last, { status: 409, body: { error: 'last_factor' } })
    t.ok(await api.isActive(bearer))
  })

  test(`${store}: M11 MFA=required: a sign-in that the person may not have adds no factor, whose recovery codes would be lost`, async (t) => {
    const { api, config, audited } = await startService(t, store, { MFA: 'required' })
    const { body: bob } = await api.signUp('bob', PASSWORD)
    const admin = (method: string, path: string, json?: object) =>
      api.call(`/admin/users/${bob.id}${path}`, {
        method,
        headers: basicAuthorization(api.client),
        ...(json && { json }),
      })
    const signIn = () => api.login('bob', PASSWORD, { scope: 'admin', audience: config.issuer })
    t.match(await signIn(), { status: 400, body: { error: 'invalid_scope', mfa_token: undefined } })

    t.equal((await admin('PUT', '/roles', { roles: ['latchkey-admin'] })).status, 204)
    const { mfa_token: bearer } = (await signIn()).body
    t.equal((await admin('PUT', '/roles', { roles: [] })).status, 204)
    const begun = await api.call('/users/me/factors/totp', { method: 'POST', bearer })
    const json = { totp: await new AuthenticatorApp(begun.body.secret).code() }
    const refused = await api.call('/users/me/factors/totp/confirm', { bearer, json })
    t.match(refused, { status: 400, body: { error: 'invalid_scope' } })
    t.strictSame((await admin('GET', '/factors')).body.factors, [])
    // A right password is seen in the log, whatever was asked for with it.
    const seen = { reason: 'scope', sub: bob.id }
    expectEvents(t, audited('login.refused'), [seen, seen])
  })

  test(`${store}: an administrator requires two factors of one account, lists its factors and resets them`, async (t) => {
    const service = await shared()
    const { api } = service
    const { sub, tokens } = await newPerson(api, 'ada6')
    const admin = (method: string, path: string, json?: object) =>
      api.call(`/admin/users/${sub}${path}`, { method, headers: basicAuthorization(api.client), ...(json && { json }) })

    t.equal((await admin('PUT', '/mfa', { required: true })).status, 204)
    t.notOk(await api.isActive(tokens.access_token), 'a session with one factor ends')
    const refused = await api.login('ada6', PASSWORD)
    t.equal(refused.body.error, 'mfa_required')
    t.strictSame(refused.body.factors, [])
    const { answer } = await enrolTotp(api, refused.body.mfa_token)
    const strong = answer.body.tokens.access_token
    t.equal((await admin('PUT', '/mfa', { required: true })).status, 204)
    t.ok(await api.isActive(strong), 'a session with two factors goes on')

    const listed = await admin('GET', '/factors')
    t.match(listed.body, { factors: [{ type: 'totp' }], recovery_codes_left: 10, mfa_required: true })
    t.equal(listed.body.factors.length, 1)
    t.equal((await admin('DELETE', '/factors')).status, 204)
    t.notOk(await api.isActive(strong))
    const { body: afterReset } = await admin('GET', '/factors')
    t.strictSame(afterReset.factors, [])
    t.equal(afterReset.recovery_codes_left, 0)
    t.equal((await admin('PUT', '/mfa', { required: false })).status, 204)
    t.equal((await api.login('ada6', PASSWORD)).status, 200)
    t.equal((await admin('PUT', '/mfa', { required: 'yes' })).status, 400)
    const eventsOf = (event: string) => service.audited(event).filter((line) => line.sub === sub)
    expectEvents(t, eventsOf('factor.reset'), [{ by: 'todo' }])
    expectEvents(t, eventsOf('user.mfa_changed'), [{ required: true }, { required: true }, { required: false }])
    for (const path of ['/factors', '/mfa']) {
      const json = path === '/mfa' ? { json: { required: true } } : {}
      const call = { method: path === '/mfa' ? 'PUT' : 'DELETE', headers: basicAuthorization(api.client), ...json }
      t.equal((await api.call(`/admin/users/nobody${path}`, call)).status, 404)
    }
  })

  test(`${store}: a second enrolment of TOTP replaces the first; a deleted account leaves no factor behind`, async (t) => {
    const { api } = await shared()
    const { sub, tokens } = await newPerson(api, 'ada7')
    const first = await enrolTotp(api, tokens.access_token)
    const second = await enrolTotp(api, tokens.access_token)
    t.equal(second.answer.body.recovery_codes, undefined, 'the recovery codes stay')
    const listed = await factorsOf(api, tokens.access_token)
    t.match(listed.body, { factors: [{ id: second.answer.body.factor.id }], recovery_codes_left: 10 })
    t.equal(listed.body.factors.length, 1)
    t.equal((await loginMfa(api, await mfaToken(api, 'ada7'), { totp: await first.app.next() })).status, 401)
    t.equal((await loginMfa(api, await mfaToken(api, 'ada7'), { totp: await second.app.next() })).status, 200)

    const client = { headers: basicAuthorization(api.client) }
    t.equal((await api.call(`/admin/users/${sub}`, { method: 'DELETE', ...client })).status, 204)
    t.strictSame((await api.call(`/admin/users/${sub}/factors`, client)).status, 404)
  })
}

test('F4 after a 503 of a new factor, the factor is there, and DELETE /sessions?except=current ends the other sessions', async (t) => {
  const { api, once, env } = await startService(t, 'redis')
  const { tokens } = await newPerson(api, 'ada')
  const other = await api.tokens('ada', PASSWORD)
  const { body } = await api.call('/users/me/factors/totp', { method: 'POST', bearer: tokens.access_token })
  const app = new AuthenticatorApp(body.secret)
  const admin = new Redis(env.REDIS_URL as string)
  t.teardown(() => admin.disconnect())

  // Redis still answers who holds the token. The end of a session needs an entry in the feed, and Redis refuses it.
  await admin.acl('SETUSER', 'default', '-xadd')
  const json = { totp: await app.next() }
  const answer = await once.call('/users/me/factors/totp/confirm', { bearer: tokens.access_token, json })
  t.match(answer, { status: 503, body: { error: 'temporarily_unavailable' } })
  t.ok(await api.isActive(other.access_token), 'the other session lives')
  await admin.acl('SETUSER', 'default', '+xadd')

  const listed = await factorsOf(api, tokens.access_token)
  t.match(listed.body.factors, [{ type: 'totp' }])
  t.equal(listed.body.factors.length, 1)
  const ended = await api.call('/sessions?except=current', { method: 'DELETE', bearer: tokens.access_token })
  t.equal(ended.status, 204)
  t.notOk(await api.isActive(other.access_token))
  t.ok(await api.isActive(tokens.access_token))
})

for (const store of anyStore) {
  test(`${store}: without DATA_SECRET nobody can enrol TOTP, and the answer says what to do`, async (t) => {
    const { api } = await startService(t, store, { DATA_SECRET: '' })
    const { tokens } = await newPerson(api, 'ada')
    for (const path of ['/users/me/factors/totp', '/users/me/factors/totp/confirm']) {
      const { status, body } = await api.call(path, { bearer: tokens.access_token, json: { totp: '123456' } })
      t.equal(status, 404)
      t.match(body.error_description, /DATA_SECRET/)
    }
  })

  test(`${store}: M10 without the password no answer tells who has which factors`, async (t) => {
    const service = await startService(t, store)
    const { api } = service
    for (const name of ['ada', 'bob', 'cy']) await api.signUp(name, PASSWORD)
    await enrolTotp(api, (await api.tokens('ada', PASSWORD)).access_token)
    await enrolPasskey(api, (await api.tokens('bob', PASSWORD)).access_token)
    const wrong = outline(await api.login('cy', 'not the password'))
    for (const name of ['ada', 'bob', 'nobody']) {
      t.strictSame(outline(await api.login(name, 'not the password')), wrong, name)
    }
    const { challenge, ...options } = await passkeyOptions(api)
    const { challenge: another, ...others } = await passkeyOptions(api)
    t.not(challenge, another)
    t.strictSame(options, others)
    const own = (await api.tokens('cy', PASSWORD)).access_token
    const unknown = outline(
      await api.call('/users/me/factors/AAAAAAAAAAAAAAAAAAAAAA', { method: 'DELETE', bearer: own }),
    )
    const { id } = await withAccounts(service.env, async (_users, { db }) =>
      db.selectFrom('factors').select('id').executeTakeFirstOrThrow(),
    )
    const foreign = outline(await api.call(`/users/me/factors/${id}`, { method: 'DELETE', bearer: own }))
    t.strictSame(foreign, unknown, 'the factor of another account does not exist')
  })

  test(`${store}: a wrong, a late and a missing confirmation change nothing`, async (t) => {
    const { api } = await startService(t, store)
    const { tokens } = await newPerson(api, 'ada')
    const confirm = (json: object) => api.call('/users/me/factors/totp/confirm', { bearer: tokens.access_token, json })
    t.equal((await confirm({ totp: '123456' })).status, 400, 'nothing was begun')
    await api.call('/users/me/factors/totp', { method: 'POST', bearer: tokens.access_token })
    for (const totp of ['000000', 'abcdef', '']) t.equal((await confirm({ totp })).status, 400)
    t.equal((await confirm({})).status, 400)
    t.strictSame((await factorsOf(api, tokens.access_token)).body.factors, [])
    t.equal((await api.login('ada', PASSWORD)).status, 200)
  })
}
