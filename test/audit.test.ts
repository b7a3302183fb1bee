import { test } from 'tap'
import { expectEvents } from './support/audit-events.js'
import { eventually } from './support/eventually.js'
import { PASSWORD, startService, stores } from './support/service.js'

const RENEWED = 'seven tame otters hum'

test('a sign-up, a sign-in and each rotation write an audit line', async (t) => {
  const { api, audited } = await startService(t, 'sqlite')
  const sub: string = (await api.signUp('ada', PASSWORD)).body.id
  expectEvents(t, audited('user.created'), [{ sub }])
  const { sid, refresh_token: first, access_token: bearer } = await api.tokens('ada', PASSWORD)
  expectEvents(t, audited('login.accepted'), [{ sub, sid, ip: '127.0.0.1' }])

  const { refresh_token: second } = (await api.refresh(first)).body
  expectEvents(t, audited('refresh.rotated'), [{ sub, sid, generation: 0 }])
  await api.refresh(first)
  expectEvents(t, audited('refresh.replayed'), [{ sub, sid, generation: 0 }])
  await api.logout(bearer)
  await api.refresh(second)
  expectEvents(t, audited('refresh.refused'), [{ sub, sid, reason: 'no_such_session' }])
})

test('each way to end sessions writes an audit line with the ended sessions and the reason', async (t) => {
  const { api, audited } = await startService(t, 'sqlite', { SESSIONS_PER_USER: '3' })
  const sub: string = (await api.signUp('ada', PASSWORD)).body.id
  const signIn = () => api.tokens('ada', PASSWORD)

  const oldest = await signIn()
  const [one, two, three] = [await signIn(), await signIn(), await signIn()]
  await api.logout(one.access_token)
  // The session has already ended: no event.
  await api.logout(one.access_token)
  const bearer = three.access_token
  await api.call(`/sessions/${two.sid}`, { method: 'DELETE', bearer })
  const other = await signIn()
  await api.call('/sessions?except=current', { method: 'DELETE', bearer })
  const another = await signIn()
  const change = { current_password: PASSWORD, new_password: RENEWED }
  await api.call('/users/me/password', { json: { ...change, current_password: 'wrong' }, bearer })
  await api.call('/users/me/password', { json: change, bearer })
  await api.call('/logout-all', { method: 'POST', bearer })
  const last = await api.tokens('ada', RENEWED)
  const remove = (password: string) =>
    api.call('/users/me', { method: 'DELETE', json: { password }, bearer: last.access_token })
  await remove('wrong')
  await remove(RENEWED)

  expectEvents(t, audited('session.ended'), [
    { sub, sids: [oldest.sid], reason: 'too_many' },
    { sub, sids: [one.sid], reason: 'logout' },
    { sub, sids: [two.sid], reason: 'ended_by_user' },
    { sub, sids: [other.sid], reason: 'ended_by_user' },
    { sub, sids: [another.sid], reason: 'password_changed' },
    { sub, sids: [three.sid], reason: 'logout_all' },
    { sub, sids: [last.sid], reason: 'user_deleted' },
  ])
  expectEvents(t, audited('user.password_refused'), [
    { sub, reason: 'wrong_password' },
    { sub, reason: 'wrong_password' },
  ])
  expectEvents(t, audited('user.password_changed'), [{ sub }])
  expectEvents(t, audited('user.deleted'), [{ sub }])
})

for (const store of stores) {
  test(`${store}: the reuse of a refresh token is audited once, with the session that it ended`, async (t) => {
    const { api, audited } = await startService(t, store, { REFRESH_GRACE: '0' })
    await api.signUp('ada', PASSWORD)
    const { sid, refresh_token: stolen } = await api.tokens('ada', PASSWORD)
    const { refresh_token: second } = (await api.refresh(stolen)).body
    await api.refresh(second)
    await Promise.all(Array.from({ length: 5 }, () => api.refresh(stolen)))
    expectEvents(t, audited('refresh.reused'), [{ sid, generation: 0, successor: 'used' }])
    expectEvents(t, audited('session.ended'), [{ sids: [sid], reason: 'reuse' }])
  })

  test(`${store}: the audit line of a reuse says whether the successor was ever used: after a lost answer it was not`, async (t) => {
    const { api, audited } = await startService(t, store, { REFRESH_GRACE: '0' })
    await api.signUp('ada', PASSWORD)
    const { sid, refresh_token: first } = await api.tokens('ada', PASSWORD)
    const { refresh_token: second } = (await api.refresh(first)).body
    t.equal((await api.refresh(second)).status, 200, 'the client loses this answer')

    // The grace is 0, but a retry in the same millisecond is still within it.
    await eventually(async () => (await api.refresh(second)).status === 400)

    expectEvents(t, audited('refresh.reused'), [{ sid, generation: 1, successor: 'unused' }])
    expectEvents(t, audited('session.ended'), [{ sids: [sid], reason: 'reuse' }])
  })
}

test("a client's own token writes an audit line, and so does its revocation", async (t) => {
  const { api, audited } = await startService(t, 'sqlite')
  const credentials = { client_id: api.client.id, client_secret: api.client.secret }
  const { body } = await api.call('/token', { form: { grant_type: 'client_credentials', ...credentials } })
  expectEvents(t, audited('client.token_issued'), [{ sub: api.client.id }])
  await api.call('/revoke', { form: { token: body.access_token } })
  expectEvents(t, audited('client.tokens_revoked'), [{ sub: api.client.id, nbf: Number }])
})

test('a refusal is audited with its reason; the name of an unknown user is never logged', async (t) => {
  const { api, audited, log } = await startService(t, 'sqlite')
  const sub: string = (await api.signUp('ada', PASSWORD)).body.id
  await api.login('ada', 'a wrong password of ada')
  // People type their password into the user name field.
  await api.login('my secret pass phrase', 'x')
  expectEvents(t, audited('login.refused'), [{ reason: 'wrong_password', sub }, { reason: 'unknown_user' }])

  await api.refresh('lkr_forged')
  expectEvents(t, audited('refresh.refused'), [{ reason: 'forged' }])

  await api.call('/introspect', { form: { token: 'x' } })
  await api.call('/introspect', { form: { token: 'x', client_id: 'todo', client_secret: 'wrong' } })
  t.equal(audited('client.refused').length, 2)
  t.notMatch(JSON.stringify(log), /my secret pass phrase|a wrong password/)
})

test('an audit line of throttling names an existing account; the caller cannot tell whether the account exists', async (t) => {
  const { api, audited } = await startService(t, 'sqlite')
  const sub: string = (await api.signUp('ada', PASSWORD)).body.id
  const { access_token: bearer } = await api.tokens('ada', PASSWORD)
  const answers: string[] = []
  for (const name of ['ada', 'nobody']) {
    for (let i = 0; i < 5; i += 1) await api.login(name, `wrong ${i}`)
    const { status, text } = await api.login(name, PASSWORD)
    // The seconds of the wait go by between the two names.
    answers.push(`${status} ${text.replace(/in \d+ s/, 'in N s')}`)
  }
  expectEvents(
    t,
    audited('login.refused').filter(({ reason }) => reason === 'throttled'),
    [{ sub }, { sub: undefined }],
  )
  t.equal(answers[0], answers[1])
  t.match(answers[0], /^429 /)

  const json = { current_password: 'wrong', new_password: `${PASSWORD}!` }
  for (let i = 0; i < 5; i += 1) await api.call('/users/me/password', { bearer, json })
  t.equal((await api.call('/users/me/password', { bearer, json })).status, 429)
  t.equal((await api.call('/users/me', { method: 'DELETE', bearer, json: { password: PASSWORD } })).status, 429)
  expectEvents(t, audited('user.password_refused').slice(5), [
    { sub, reason: 'throttled' },
    { sub, reason: 'throttled' },
  ])
})

test("an audit line carries the request id: the caller's own, or a generated one", async (t) => {
  const { api, audited } = await startService(t, 'sqlite')
  await api.signUp('ada', PASSWORD)
  const login = (headers: Record<string, string>) =>
    api.call('/login', { json: { username: 'ada', password: PASSWORD }, headers })
  const rows: [string | undefined, RegExp][] = [
    ['trace-7:a.b_c', /^trace-7:a\.b_c$/],
    [undefined, /^[\w-]{12}-\d+$/],
    ['two words', /^[\w-]{12}-\d+$/],
    ['x'.repeat(129), /^[\w-]{12}-\d+$/],
    ['{"level":60}', /^[\w-]{12}-\d+$/],
  ]
  for (const [given, expected] of rows) {
    const answer = await login(given === undefined ? {} : { 'x-request-id': given })
    t.match(answer.headers['x-request-id'], expected)
    t.equal(audited('login.accepted').at(-1)?.reqId, answer.headers['x-request-id'])
  }
})

test('the audit log is written at every LOG_LEVEL', async (t) => {
  for (const level of ['trace', 'error', 'silent']) {
    const { api, audited } = await startService(t, 'sqlite', { LOG_LEVEL: level })
    await api.signUp('ada', PASSWORD)
    expectEvents(t, audited('user.created'), [{ log: 'audit', event: 'user.created', time: String }])
  }
})
