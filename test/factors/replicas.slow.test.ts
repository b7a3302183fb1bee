import { test } from 'tap'
import { type Answer, basicAuthorization } from '../support/api.js'
import { createClient } from '../support/clients.js'
import { enrolTotp, mfaToken, newPerson } from '../support/factors.js'
import { type Replicas, startReplicas } from '../support/replicas.js'
import { PASSWORD } from '../support/service.js'

/** A request that was repeated after a 503 may have used up what it brought, and then nobody wins. */
const least = (replicas: Replicas, before: number) => (replicas.unavailable() === before ? 1 : 0)

const won = (answers: Answer[], status: number) => answers.filter((answer) => answer.status === status).length

test('three processes: what is good once is good once over all of them', async (t) => {
  const replicas = await startReplicas(t, 'redis')
  const { apis, next } = replicas
  const [first] = apis
  const mailer = { headers: basicAuthorization(await createClient(replicas.env, 'mailer', { scopes: ['recovery'] })) }
  const enrolled = async (name: string) => {
    const { tokens } = await newPerson(first, name)
    const { app, answer } = await enrolTotp(first, tokens.access_token)
    return { app, codes: answer.body.recovery_codes as string[] }
  }
  const loginMfa = (mfa_token: string, factor: object) => next().call('/login/mfa', { json: { mfa_token, ...factor } })

  await t.test('M1 one code of an app × 50: at most one sign-in, and then it is used', async (t) => {
    const { app } = await enrolled('ada')
    const token = await mfaToken(first, 'ada')
    const totp = await app.next()
    const before = replicas.unavailable()
    const answers = await Promise.all(Array.from({ length: 50 }, () => loginMfa(token, { totp })))
    t.ok(won(answers, 200) <= 1 && won(answers, 200) >= least(replicas, before))
    t.equal(won(answers, 200) + won(answers, 400) + won(answers, 401) + won(answers, 429), 50)
  })

  await t.test('M4 one recovery code × 50: one wins', async (t) => {
    const { codes } = await enrolled('bob')
    const tokens = await Promise.all(Array.from({ length: 50 }, () => mfaToken(first, 'bob')))
    const before = replicas.unavailable()
    const answers = await Promise.all(tokens.map((token) => loginMfa(token, { recovery_code: codes[0] })))
    t.ok(won(answers, 200) <= 1 && won(answers, 200) >= least(replicas, before))
    t.equal(won(answers, 200) + won(answers, 401) + won(answers, 429), 50)
  })

  await t.test('M5 one mfa_token × 10 recovery codes: one wins, and nine codes are left', async (t) => {
    for (let round = 0; round < 5; round += 1) {
      const { codes } = await enrolled(`dan${round}`)
      const token = await mfaToken(first, `dan${round}`)
      const answers = await Promise.all(codes.map((code) => loginMfa(token, { recovery_code: code })))
      t.equal(won(answers, 200), 1)
      t.equal(won(answers, 200) + won(answers, 400) + won(answers, 429), 10)
      const bearer = answers.find(({ status }) => status === 200)?.body.access_token
      t.equal((await next().call('/users/me/factors', { bearer })).body.recovery_codes_left, 9)
    }
  })

  await t.test('M3 wrong codes × 100: five are compared', async (t) => {
    await enrolled('cy')
    const token = await mfaToken(first, 'cy')
    const guesses = Array.from({ length: 100 }, (_, i) => loginMfa(token, { totp: String(i).padStart(6, '0') }))
    const answers = await Promise.all(guesses)
    t.ok(won(answers, 401) <= 5, `${won(answers, 401)} were compared`)
    t.equal(won(answers, 401) + won(answers, 429), 100)
  })

  await t.test('M9 one recovery token × 50: one wins', async (t) => {
    await newPerson(first, 'eve')
    const { body } = await first.call('/recovery', { ...mailer, json: { username: 'eve' } })
    const before = replicas.unavailable()
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, i) =>
        next().call('/recovery/complete', { json: { token: body.token, new_password: `${PASSWORD} ${i}` } }),
      ),
    )
    t.ok(won(answers, 204) <= 1 && won(answers, 204) >= least(replicas, before))
    t.equal(won(answers, 204) + won(answers, 400), 50)
  })

  await t.test('M8 a factor is removed on one replica while a sign-in with it is under way on another', async (t) => {
    for (let round = 0; round < 5; round += 1) {
      const name = `fay${round}`
      const { tokens } = await newPerson(first, name)
      const { app, answer } = await enrolTotp(first, tokens.access_token)
      const token = await mfaToken(first, name)
      const totp = await app.next()
      const path = `/users/me/factors/${answer.body.factor.id}`
      const [signIn, removal] = await Promise.all([
        loginMfa(token, { totp }),
        next().call(path, { method: 'DELETE', bearer: tokens.access_token }),
      ])
      t.equal(removal.status, 204)
      t.ok([200, 400, 401].includes(signIn.status), signIn.text)
      if (signIn.status === 200) t.notOk(await next().isActive(signIn.body.access_token), 'its session has ended')
      t.ok(await next().isActive(tokens.access_token))
    }
  })
})
