import { test } from 'tap'
import { withAccounts } from '../support/accounts.js'
import { type Api, basicAuthorization, PatientCaller } from '../support/api.js'
import { expectEvents } from '../support/audit-events.js'
import { enrolTotp, newPerson } from '../support/factors.js'
import { environment, PASSWORD, redisOf, startReady, startService, stores } from '../support/service.js'

const RENEWED = 'seven tame otters hum'

/** A client with this scope, whose mailer delivers tokens. */
async function newMailer(api: Api, scopes = 'recovery') {
  const json = { id: `mailer-${scopes.replace(':', '-')}`, scopes }
  const { body } = await api.call('/admin/clients', { headers: basicAuthorization(api.client), json })
  return { headers: basicAuthorization({ id: json.id, secret: body.secret }) }
}

const complete = (api: Api, token: string, password = RENEWED) =>
  api.call('/recovery/complete', { json: { token, new_password: password } })

for (const store of stores) {
  test(`${store}: a trusted client gets a token, with which the person sets a new password and ends every session`, async (t) => {
    const service = await startService(t, store)
    const { api } = service
    const mailer = await newMailer(api)
    const { sub, tokens } = await newPerson(api, 'Ada')
    await enrolTotp(api, tokens.access_token)

    const asked = await api.call('/recovery', { ...mailer, json: { username: 'aDA' } })

    t.match(asked, {
      status: 200,
      headers: { 'cache-control': 'no-store' },
      body: { expires_in: 900, sub, username: 'Ada' },
    })
    t.ok(await api.isActive(tokens.access_token), 'to ask changes nothing')
    t.equal((await complete(api, asked.body.token, 'short')).status, 400, 'a bad password spends no token')
    const done = await complete(api, asked.body.token)
    t.equal(done.status, 204, done.text)
    t.notOk(await api.isActive(tokens.access_token))
    t.equal((await api.login('Ada', PASSWORD)).status, 401)
    t.match(await api.login('Ada', RENEWED), { status: 403, body: { error: 'mfa_required' } }, 'the factor stays')
    expectEvents(t, service.audited('recovery.requested'), [{ sub, by: 'mailer-recovery' }])
    expectEvents(t, service.audited('recovery.completed'), [{ sub }])
    t.notMatch(service.log.map((line) => JSON.stringify(line)).join('\n'), asked.body.token)
  })

  test(`${store}: M9 a recovery token: twice, ×50 in parallel, after a change of the password, for a disabled account`, async (t) => {
    const { api, once } = await startService(t, store, { HASH_QUEUE: '100' })
    const mailer = await newMailer(api)
    const { sub, tokens } = await newPerson(api, 'ada')
    const ask = async () => (await api.call('/recovery', { ...mailer, json: { username: 'ada' } })).body.token

    const [token, sibling] = [await ask(), await ask()]
    const caller = new PatientCaller()
    const password = (i: number) => `${RENEWED} ${'abcdefghij'[i % 10]}`
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, i) => caller.ask(() => complete(once, token, password(i)))),
    )
    const won = answers.filter(({ status }) => status === 204).length
    // On a busy machine the store may take the token, and its answer may exceed a timeout.
    t.ok(won === 1 || (won === 0 && caller.unanswered > 0), `${won} win`)
    t.equal(answers.filter(({ status }) => status === 400).length, 50 - won)
    t.notOk(await api.isActive(tokens.access_token))
    t.match(await complete(api, token), { status: 400, body: { error: 'invalid_grant' } }, 'twice')
    t.equal((await complete(api, sibling)).status, 400, 'another token of the same time')

    const before = await ask()
    const admin = { headers: basicAuthorization(api.client) }
    const reset = await api.call(`/admin/users/${sub}/password`, { ...admin, json: { password: PASSWORD } })
    t.equal(reset.status, 204)
    t.equal((await complete(api, before)).status, 400, 'after a change of the password')

    const { expiresAt } = JSON.parse(Buffer.from((await ask()).slice(4).split('.')[0], 'base64url').toString())
    t.ok(Math.abs(expiresAt - Date.now() - 900_000) < 5000, 'it expires after 15 minutes')

    const disabled = await ask()
    await api.call(`/admin/users/${sub}/disable`, { method: 'POST', ...admin })
    t.equal((await complete(api, disabled)).status, 400, 'of a disabled account')
    t.match(await api.call('/recovery', { ...mailer, json: { username: 'ada' } }), { status: 404 })
    t.match(await api.call('/recovery', { ...mailer, json: { username: 'nobody' } }), { status: 404 })
    for (const none of ['lkt_forged', tokens.access_token, 'x']) t.equal((await complete(api, none)).status, 400)
    t.equal((await api.login('ada', PASSWORD)).status, 401)
  })

  test(`${store}: only a client with the scope recovery gets a recovery token, and no person can have the scope`, async (t) => {
    const { api, env } = await startService(t, store)
    const { tokens } = await newPerson(api, 'ada')
    const other = await newMailer(api, 'mail:send')
    const json = { username: 'ada' }
    t.match(await api.call('/recovery', { ...other, json }), { status: 403, body: { error: 'insufficient_scope' } })
    t.equal((await api.call('/recovery', { json })).status, 401)
    t.equal((await api.call('/recovery', { bearer: tokens.access_token, json })).status, 401)
    t.match(await api.login('ada', PASSWORD, { scope: 'recovery' }), { status: 400, body: { error: 'invalid_scope' } })
    await newMailer(api)
    const secret = await api.call('/admin/clients/mailer-recovery/secret', {
      method: 'POST',
      headers: basicAuthorization(api.client),
    })
    const headers = basicAuthorization({ id: 'mailer-recovery', secret: secret.body.secret })
    const own = await api.call('/token', { headers, form: { grant_type: 'client_credentials' } })
    t.equal(own.body.scope, '', 'a reserved scope is in a token only when asked for')
    const other2 = { grant_type: 'client_credentials', scope: 'recovery', audience: 'elsewhere' }
    t.equal((await api.call('/token', { headers, form: other2 })).status, 400)
    await withAccounts(env, async (users) => t.match(await users.findByName('ada'), { passwordVersion: 1 }))
  })
}

test('F4: while Redis stalls, a recovery token changes nothing and stays good', async (t) => {
  const redis = await redisOf(t)
  const { api, once } = await startReady(t, await environment(t, 'sqlite', { REDIS_URL: redis.url }))
  const mailer = await newMailer(api)
  const { tokens } = await newPerson(api, 'ada')
  const { body } = await api.call('/recovery', { ...mailer, json: { username: 'ada' } })

  redis.process.kill('SIGSTOP')
  t.equal((await complete(once, body.token)).status, 503)

  redis.process.kill('SIGCONT')
  // Otherwise the password would be another one, and nobody could end the sessions with this token.
  t.equal((await complete(api, body.token)).status, 204)
  t.notOk(await api.isActive(tokens.access_token))
})
