import { test } from 'tap'
import { adminClient } from '../support/admin-client.js'
import { latchkey, operatorEnvironment } from '../support/latchkey.js'
import { PASSWORD, startService, stores } from '../support/service.js'

const BCRYPT = '$2b$04$abcdefghijklmnopqrstuu7EJV7kdjBBQxyb0HjTh9KS7.Lah/6CG'
const IDS = [
  'auth0|507f1f77bcf86cd799439020',
  '7',
  'urn:user:ada@example.com',
  'x7Kp-2~mN.q+Z_9',
  'sixteen.bytes.id',
  '3F6C1A52-8D0E-4B7A-9C1F-5E2D7A4B6C80',
  'Z'.repeat(64),
]

for (const store of stores) {
  test(`${store}: an imported id is the sub of tokens, and every route works with it`, async (t) => {
    const { api, env } = await startService(t, store)
    const admin = adminClient(api)
    const lines = IDS.map((id, i) => JSON.stringify({ username: `user${i}`, password_hash: BCRYPT, id }))
    const ran = await latchkey(['users', 'import', '-', '--json'], operatorEnvironment(env), lines.join('\n'))
    t.match(ran, { code: 0, json: { imported: IDS.length } }, ran.stderr)

    for (const [i, id] of IDS.entries()) {
      const first = await api.tokens(`user${i}`, PASSWORD)
      t.match((await api.introspect(first.access_token)).body, { active: true, sub: id, username: `user${i}` })
      t.match(first.refresh_token, /^lkr_[\w-]+$/)
      const next = (await api.refresh(first.refresh_token)).body
      t.match(next, { sid: first.sid }, 'refresh')
      t.equal((await api.refresh(first.refresh_token)).body.refresh_token, next.refresh_token, 'a retry')
      const bent = `${next.refresh_token.slice(0, 20)}${next.refresh_token[20] === 'A' ? 'B' : 'A'}${next.refresh_token.slice(21)}`
      for (const forged of [bent, next.refresh_token.slice(0, -2), `${next.refresh_token}AA`]) {
        t.match(await api.refresh(forged), { status: 400, body: { error: 'invalid_grant' } })
      }
      const verified = await api.call('/verify', { bearer: next.access_token })
      t.match(verified, { status: 200, headers: { 'x-auth-sub': id } })

      const path = `/users/${encodeURIComponent(id)}`
      t.match((await admin('GET', path)).body, { id, username: `user${i}` })
      const query = `/sessions?sub=${encodeURIComponent(id)}`
      const { sessions } = (await admin('GET', query)).body
      t.strictSame(
        sessions.map(({ sid }: { sid: string }) => sid),
        [first.sid],
      )
      t.equal((await admin('DELETE', query)).status, 204)
      t.equal(await api.isActive(next.access_token), false)
      t.equal((await admin('POST', `${path}/disable`)).status, 204)
      t.equal((await api.login(`user${i}`, PASSWORD)).status, 401)
      t.equal((await admin('DELETE', path)).status, 204)
      t.equal((await admin('GET', path)).status, 404)
    }
  })
}

test('an administrator may choose the id of a new account; an id that is taken or not valid is refused', async (t) => {
  const { api } = await startService(t, 'sqlite')
  const admin = adminClient(api)
  const made = await admin('POST', '/users', { json: { username: 'ada', password: PASSWORD, id: 'auth0|1' } })
  t.match(made, { status: 201, body: { id: 'auth0|1' } })
  const secret = { password_hash: BCRYPT }
  for (const account of [{ password: PASSWORD }, secret]) {
    for (const id of ['auth0|1', api.client.id]) {
      const answer = await admin('POST', '/users', { json: { username: 'eve', ...account, id } })
      t.match(answer, { status: 409, body: { error: 'id_taken' } }, id)
    }
    for (const id of ['', '.', '..', 'latchkey', 'a b', 'a/b', 'é', 'a{b}', 'a*', 'x'.repeat(65), 'a\n', 7]) {
      const answer = await admin('POST', '/users', { json: { username: 'eve', ...account, id } })
      t.match(answer, { status: 400, body: { error: 'invalid_request', error_description: /\bid\b/ } }, String(id))
    }
  }
  t.match(await admin('POST', '/clients', { json: { id: 'auth0-1' } }), { status: 201 })
  t.match((await admin('POST', '/users', { json: { username: 'eve', ...secret, id: 'auth0-1' } })).status, 409)
  t.match((await admin('POST', '/users', { json: { username: 'eve', ...secret, id: 'eve' } })).status, 201)
  t.match((await admin('POST', '/clients', { json: { id: 'eve' } })).status, 409, 'no client gets the id of an account')
})
