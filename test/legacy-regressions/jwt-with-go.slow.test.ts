import { createHmac } from 'node:crypto'
import { sharedSecretKey } from '@latchkey/verifier/access-token'
import { test } from 'tap'
import { readConfig } from '../../src/config/read.js'
import { sql } from '../../src/database/kysely.js'
import { withAccounts } from '../support/accounts.js'
import { secondsNow } from '../support/assertions.js'
import { claimsOf } from '../support/decode.js'
import { startWithFragileStore } from '../support/fragile-store.js'
import {
  anyStore,
  environment,
  JWT_SECRET,
  PASSWORD,
  spawnService,
  startService,
  startServiceWith,
  stores,
} from '../support/service.js'
import { claimsWithGenuineJti } from '../support/stamped.js'
import { deleteSessions } from '../support/store-inspection.js'

// This service replaces two older systems. JWT-WITH-GO is the first. Each test is one of its
// defects, which must not come back.

const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')

/** An access token with the `kid` of the service's key and a valid `jti`, signed with this secret. */
function forge(claims: object, secret: string): string {
  const header = { alg: 'HS256', typ: 'at+jwt', kid: sharedSecretKey(JWT_SECRET).kid }
  const input = `${part(header)}.${part(claimsWithGenuineJti(claims))}`
  return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`
}

test('JWT-WITH-GO: the source holds no secret, and production does not start without its own', async (t) => {
  const { JWT_SECRET: _, REFRESH_SECRET: __, ...without } = await environment(t, 'sqlite', { NODE_ENV: 'production' })
  for (const secrets of [{}, { JWT_SECRET: '', REFRESH_SECRET: '' }, { JWT_SECRET: ' ', REFRESH_SECRET: '\n' }]) {
    const read = () => readConfig({ ...without, ...secrets })
    t.throws(read, { message: /JWT_SECRET[^\n]*: must be set in production.*\n.*REFRESH_SECRET[^\n]*: must be set/s })
  }
  await t.rejects(spawnService(t, without), { message: /must be set in production/ }, 'and the process ends')
})

test('JWT-WITH-GO: each instance generates its own development secrets', async (t) => {
  const start = async () => {
    const { JWT_SECRET: _, REFRESH_SECRET: __, ...env } = await environment(t, 'sqlite')
    return (await startServiceWith(t, env)).api
  }
  const [one, two] = [await start(), await start()]
  await one.signUp('ada', PASSWORD)
  const { access_token, refresh_token } = await one.tokens('ada', PASSWORD)
  t.equal(await one.isActive(access_token), true)
  t.equal(await two.isActive(access_token), false)
  t.equal((await two.refresh(refresh_token)).status, 400)
})

for (const store of stores) {
  test(`${store}: JWT-WITH-GO: each of many simultaneous sign-ins gets its own tokens`, async (t) => {
    const { api } = await startService(t, store)
    const people = await Promise.all(
      ['ada', 'eve', 'joe', 'zoe'].map(async (name) => (await api.signUp(name, `${PASSWORD} ${name}`)).body),
    )
    const signIns = await Promise.all(
      Array.from({ length: 24 }, async (_, i) => {
        const person = people[i % people.length]
        return { person, tokens: await api.tokens(person.username, `${PASSWORD} ${person.username}`) }
      }),
    )
    const checked = await Promise.all(
      signIns.map(async ({ person, tokens }) => ({
        person,
        tokens,
        seen: (await api.introspect(tokens.access_token)).body,
        next: (await api.refresh(tokens.refresh_token)).body,
      })),
    )
    for (const { person, tokens, seen, next } of checked) {
      t.match(seen, { active: true, sub: person.id, username: person.username, sid: tokens.sid })
      t.match(claimsOf(next.access_token), { sub: person.id, sid: tokens.sid })
    }
    for (const kind of ['access_token', 'refresh_token', 'sid'] as const) {
      t.equal(new Set(signIns.map(({ tokens }) => tokens[kind])).size, 24, `${kind}s are all different`)
    }
    t.equal(new Set(checked.map(({ seen }) => seen.jti)).size, 24)
  })

  test(`${store}: JWT-WITH-GO: a sign-out with either token ends both tokens`, async (t) => {
    const { api } = await startService(t, store)
    await api.signUp('ada', PASSWORD)
    for (const kind of ['access_token', 'refresh_token'] as const) {
      const tokens = await api.tokens('ada', PASSWORD)
      t.equal((await api.logout(tokens[kind])).status, 204)
      t.match(await api.refresh(tokens.refresh_token), { status: 400, body: { error: 'invalid_grant' } }, kind)
      t.equal(await api.isActive(tokens.access_token), false, kind)
    }
  })

  test(`${store}: JWT-WITH-GO: an older access token stays valid after a refresh, and ends with its session (§1)`, async (t) => {
    const { api } = await startService(t, store, { REFRESH_GRACE: '0' })
    await api.signUp('ada', PASSWORD)

    const first = await api.tokens('ada', PASSWORD)
    const second = (await api.refresh(first.refresh_token)).body
    t.strictSame([await api.isActive(first.access_token), await api.isActive(second.access_token)], [true, true])
    await api.logout(second.refresh_token)
    t.strictSame([await api.isActive(first.access_token), await api.isActive(second.access_token)], [false, false])

    const stolen = await api.tokens('ada', PASSWORD)
    const next = (await api.refresh(stolen.refresh_token)).body
    t.equal((await api.refresh(stolen.refresh_token)).status, 400, 'reuse is found out')
    t.strictSame([await api.isActive(stolen.access_token), await api.isActive(next.access_token)], [false, false])
  })

  test(`${store}: JWT-WITH-GO: every guarded route asks the store, so a session that was deleted there gives no access`, async (t) => {
    const { api, env } = await startService(t, store)
    await api.signUp('ada', PASSWORD)
    const { access_token: bearer, refresh_token } = await api.tokens('ada', PASSWORD)
    t.equal((await api.call('/sessions', { bearer })).status, 200)

    await deleteSessions(env)

    const asked = await Promise.all([
      api.call('/sessions', { bearer }),
      api.call('/sessions/x', { method: 'DELETE', bearer }),
      api.call('/sessions?except=current', { method: 'DELETE', bearer }),
      api.call('/users/me/password', { bearer, json: { current_password: PASSWORD, new_password: `${PASSWORD}!` } }),
      api.call('/users/me', { method: 'DELETE', bearer, json: { password: PASSWORD } }),
      api.call('/logout-all', { method: 'POST', bearer }),
      api.call('/verify', { bearer }),
    ])
    t.strictSame(
      asked.map(({ status }) => status),
      Array(7).fill(401),
    )
    t.equal((await api.introspect(bearer)).text, '{"active":false}')
    t.equal((await api.refresh(refresh_token)).status, 400)
    t.equal((await api.login('ada', PASSWORD)).status, 200, 'and nothing was done')
  })

  test(`${store}: JWT-WITH-GO: a session that cannot be saved gets 503 and no tokens`, async (t) => {
    const { api, once, takeStoreAway } = await startWithFragileStore(t, store)
    await api.signUp('ada', PASSWORD)
    const { refresh_token } = await api.tokens('ada', PASSWORD)
    await takeStoreAway()
    for (const answer of [await once.login('ada', PASSWORD), await once.refresh(refresh_token)]) {
      t.match(answer, { status: 503, headers: { 'retry-after': '1' }, body: { error: 'temporarily_unavailable' } })
      t.notMatch(answer.text, /token"|lkr_|eyJ/)
    }
  })
}

// Rules that do not depend on the store.
for (const store of anyStore) {
  test(`${store}: JWT-WITH-GO: a token signed with an empty or published secret is invalid, before and after the first sign-in`, async (t) => {
    const { api } = await startService(t, store)
    const secrets = ['', 'secret', 'jdnfksdmfksd', 'mcmvmkmsdnfsdmfdsjf', 'ACCESS_SECRET', 'changeme']
    const { body: ada } = await api.signUp('ada', PASSWORD)
    const now = secondsNow()
    const claims = {
      iss: 'http://latchkey.test',
      aud: 'http://latchkey.test',
      sub: ada.id,
      exp: now + 600,
      iat: now,
      jti: 'x',
      sid: 'x',
      client_id: 'latchkey',
      scope: '',
    }
    const refuseAll = async (own: object) => {
      for (const secret of secrets) {
        t.equal((await api.introspect(forge(own, secret))).text, '{"active":false}', JSON.stringify(secret))
        t.equal((await api.call('/sessions', { bearer: forge(own, secret) })).status, 401)
      }
    }
    await refuseAll(claims)
    const { access_token } = await api.tokens('ada', PASSWORD)
    await refuseAll(claimsOf(access_token))
    t.equal(await api.isActive(forge(claimsOf(access_token), JWT_SECRET)), true, 'it was the secret, not the form')
  })

  test(`${store}: JWT-WITH-GO: no token, password or secret is logged at any level`, async (t) => {
    const env = await environment(t, store, { LOG_LEVEL: 'trace' })
    const { api, output, end } = await spawnService(t, env)
    await api.signUp('ada', PASSWORD)
    const first = await api.tokens('ada', PASSWORD)
    const second = (await api.refresh(first.refresh_token)).body
    await api.refresh(first.refresh_token)
    await api.introspect(second.access_token)
    await api.introspect(`${second.access_token}x`)
    await api.login('ada', 'my-wrong-password')
    await api.login('my-password-as-a-name', PASSWORD)
    await api.call(`/sessions?token=${second.access_token}`)
    await api.call('/refresh', {
      raw: `{"refresh_token":"${second.refresh_token}`,
      headers: { 'content-type': 'application/json' },
    })
    await api.logout(second.access_token)
    await end('SIGTERM')

    t.match(output(), 'login.accepted', 'it does log')
    const secrets = [first, second].flatMap((tokens) => [tokens.access_token, tokens.refresh_token])
    for (const secret of [
      ...secrets,
      PASSWORD,
      'my-wrong-password',
      'my-password-as-a-name',
      JWT_SECRET,
      api.client.secret,
    ]) {
      // A part of a secret would be harmful too.
      t.notOk(output().includes(secret.slice(-24)), secret)
    }
  })

  test(`${store}: JWT-WITH-GO: valid signatures over claims of wrong types are refused without an error in the log`, async (t) => {
    const { api } = await startService(t, store)
    await api.signUp('ada', PASSWORD)
    const claims = claimsOf((await api.tokens('ada', PASSWORD)).access_token)
    const odd: unknown[] = [
      null,
      true,
      0,
      -1,
      1.5,
      2 ** 53,
      '',
      [],
      [claims.sub],
      {},
      { toString: 'x' },
      '\u0000',
      '1e3',
    ]
    let asked = 0
    for (const name of Object.keys(claims)) {
      for (const value of [...odd, undefined]) {
        // These claims may be any text. They do not decide whether a token is live.
        if (['scope', 'jti', 'client_id', 'acr'].includes(name) && typeof value === 'string' && value !== '') continue
        if (name === 'scope' && value === '') continue
        // An older version issued tokens without these claims.
        if (['auth_time', 'amr', 'acr'].includes(name) && value === undefined) continue
        // A list of texts is valid there.
        if (name === 'amr' && Array.isArray(value)) continue
        const token = forge({ ...claims, [name]: value }, JWT_SECRET)
        const [seen, listed, refreshed, out] = await Promise.all([
          api.introspect(token),
          api.call('/sessions', { bearer: token }),
          api.refresh(token),
          api.call('/logout-all', { json: { token } }),
        ])
        const statuses = [seen.status, seen.text, listed.status, refreshed.status, out.status]
        t.strictSame(statuses, [200, '{"active":false}', 401, 400, 401], `${name}: ${JSON.stringify(value)}`)
        asked += 1
      }
    }
    t.ok(asked > 100)
    t.equal(await api.isActive(forge(claims, JWT_SECRET)), true, 'it was the claims, not the form')
  })

  test(`${store}: JWT-WITH-GO: ids are strings and stay unchanged, also when they look like numbers`, async (t) => {
    const { api, env } = await startService(t, store)
    // As float64 the first id would end in 2. The others would lose their zeros or become a power of ten.
    const names = ['9007199254740993', '007', '1e21', '0x10', '12345678901234567890']
    for (const name of names) {
      const { body: account } = await api.signUp(name, PASSWORD)
      t.equal(account.username, name)
      const { access_token, sid } = await api.tokens(name, PASSWORD, { device_name: name })
      const seen = (await api.introspect(access_token)).body
      t.strictSame([seen.username, seen.sub, seen.sid], [name, account.id, sid])
      const { body } = await api.call('/sessions', { bearer: access_token })
      t.match(body.sessions, [{ sid, device_name: name }])
    }
    const types = await withAccounts(env, async (_users, { db }) => {
      const { rows } = await sql<{ id: unknown; username: unknown }>`SELECT id, username FROM users`.execute(db)
      return rows.flatMap(({ id, username }) => [typeof id, typeof username])
    })
    t.strictSame(new Set(types), new Set(['string']))
  })
}
