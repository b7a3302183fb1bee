import { t as file, test } from 'tap'
import type { Answer } from '../support/api.js'
import { PASSWORD, type RunningService, startService, stores } from '../support/service.js'

const ISSUER = 'http://latchkey.test'
const AUDIENCES = { AUDIENCE: 'web,todo' }
const OTHER_SESSION = '9f8Hn1VnTz2cUWl0q3yJ8A'

/** The endpoints for a person's own account and other sessions. */
const OWN: [method: string, path: string, json?: object][] = [
  ['GET', '/sessions'],
  ['DELETE', `/sessions/${OTHER_SESSION}`],
  ['DELETE', '/sessions?except=current'],
  ['POST', '/logout-all'],
  ['POST', '/users/me/password', { current_password: PASSWORD, new_password: `${PASSWORD} 2` }],
  ['DELETE', '/users/me', { password: PASSWORD }],
]

for (const store of stores) {
  // One service for all tests of this store. Each test has its own person.
  let started: Promise<RunningService> | undefined
  const shared = () => (started ??= startService(file, store, AUDIENCES))

  test(`${store}: a token for another audience neither sees nor ends the person's other sessions, nor the account`, async (t) => {
    const { api } = await shared()
    await api.signUp('ada1', PASSWORD)
    const other = await api.tokens('ada1', PASSWORD)
    const { access_token: bearer, refresh_token } = await api.tokens('ada1', PASSWORD, { audience: 'todo' })
    const asked = (method: string, path: string, json?: object) =>
      api.call(path, { method, bearer, ...(json && { json }) })

    for (const [method, path, json] of OWN) {
      const answer: Answer = await asked(method, path.replace(OTHER_SESSION, other.sid), json)
      t.match(answer, { status: 401, body: { error: 'invalid_token' } }, `${method} ${path}`)
      t.equal(
        answer.body.error_description,
        `the token is for another audience: sign in with audience=web or audience=${ISSUER}`,
        'it says which audience to ask for',
      )
      t.match(answer.headers['www-authenticate'], /error="invalid_token"/)
    }
    const inBody = await api.call('/logout-all', { json: { token: bearer } })
    t.equal(inBody.status, 401, 'nor in the body')
    t.equal(await api.isActive(other.access_token), true)
    t.equal((await api.login('ada1', PASSWORD)).status, 200, 'the account is there, with the password that it had')

    const { body } = await api.refresh(refresh_token)
    t.equal((await api.call('/sessions', { bearer: body.access_token })).status, 401, 'nor after a refresh')
    t.equal((await api.call('/logout-all', { method: 'POST', bearer: body.refresh_token })).status, 204)
    t.equal(await api.isActive(other.access_token), false, 'the refresh token, which no service sees, ends them all')
  })

  test(`${store}: a token of any audience ends its own session`, async (t) => {
    const { api } = await shared()
    await api.signUp('ada2', PASSWORD)
    const other = await api.tokens('ada2', PASSWORD)
    const ends: Record<string, (token: string) => Promise<Answer>> = {
      '/logout': (token) => api.logout(token),
      '/logout, in the body': (token) => api.call('/logout', { json: { token } }),
      '/revoke': (token) => api.call('/revoke', { form: { token } }),
    }
    for (const [how, end] of Object.entries(ends)) {
      const { access_token } = await api.tokens('ada2', PASSWORD, { audience: 'todo' })
      t.ok([200, 204].includes((await end(access_token)).status), how)
      t.equal(await api.isActive(access_token), false, how)
    }
    t.equal(await api.isActive(other.access_token), true)
  })

  for (const [name, audience] of [
    ['ada3', 'web'],
    ['ada4', ISSUER],
  ] as const) {
    test(`${store}: a token for ${audience} opens all of a person's own endpoints`, async (t) => {
      const { api } = await shared()
      await api.signUp(name, PASSWORD)
      const { access_token: bearer } = await api.tokens(name, PASSWORD, { audience })
      const { status, body } = await api.call('/sessions', { bearer })
      t.equal(status, 200)
      t.strictSame(
        body.sessions.map(({ current }: { current: boolean }) => current),
        [true],
      )
      t.equal((await api.call(`/sessions/${OTHER_SESSION}`, { method: 'DELETE', bearer })).status, 204)
      t.equal((await api.call('/sessions?except=current', { method: 'DELETE', bearer })).status, 204)
      const json = { current_password: PASSWORD, new_password: `${PASSWORD} 2` }
      t.equal((await api.call('/users/me/password', { json, bearer })).status, 204)
      const { access_token: next } = await api.tokens(name, `${PASSWORD} 2`, { audience })
      t.equal((await api.call('/logout-all', { method: 'POST', bearer })).status, 204)
      t.equal(await api.isActive(next), false)
      const { access_token: last } = await api.tokens(name, `${PASSWORD} 2`, { audience })
      const gone = await api.call('/users/me', { method: 'DELETE', json: { password: `${PASSWORD} 2` }, bearer: last })
      t.equal(gone.status, 204)
    })
  }
}
