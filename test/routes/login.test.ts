import { test } from 'tap'
import { withAccounts } from '../support/accounts.js'
import { outline } from '../support/outline.js'
import { accountStores, PASSWORD, startService, stores } from '../support/service.js'
import { exchange, parseAnswer } from '../support/socket.js'

/** The CPU time of this process, which runs the service too, in milliseconds. Other processes do not change it. */
async function cpuOf(act: () => Promise<unknown>): Promise<number> {
  const start = process.cpuUsage()
  await act()
  const { user, system } = process.cpuUsage(start)
  return (user + system) / 1000
}

for (const store of stores) {
  test(`${store}: sign-in returns both tokens in the documented form, and forbids caching`, async (t) => {
    const { api } = await startService(t, store, { ACCESS_TTL: '10m', REFRESH_TTL: '2d' })
    await api.signUp('ada', PASSWORD)

    const { status, headers, body } = await api.login('ada', PASSWORD, { scope: 'todo:read todo:write' })

    t.equal(status, 200)
    t.equal(headers['cache-control'], 'no-store')
    t.equal(headers['content-type'], 'application/json; charset=utf-8')
    const { access_token, refresh_token, sid, ...others } = body
    t.match(access_token, /^[\w-]+\.[\w-]+\.[\w-]+$/)
    t.match(refresh_token, /^lkr_[\w-]+$/)
    t.match(sid, /^[\w-]{22}$/, 'at least 128 bits')
    t.strictSame(others, {
      token_type: 'Bearer',
      expires_in: 600,
      refresh_expires_in: 172_800,
      scope: 'todo:read todo:write',
    })
  })

  test(`${store}: a sign-in may ask for a configured audience, and for every scope except the reserved ones`, async (t) => {
    const { api } = await startService(t, store, { AUDIENCE: 'http://latchkey.test,todo' })
    await api.signUp('ada', PASSWORD)

    const byDefault = await api.tokens('ada', PASSWORD)
    const forTodo = await api.tokens('ada', PASSWORD, { audience: 'todo', scope: 'admin:read' })
    t.match((await api.introspect(byDefault.access_token)).body, { aud: 'http://latchkey.test', scope: '' })
    t.match((await api.introspect(forTodo.access_token)).body, { aud: 'todo', scope: 'admin:read' })
    const refreshed = await api.refresh(forTodo.refresh_token)
    t.match((await api.introspect(refreshed.body.access_token)).body, { aud: 'todo', scope: 'admin:read' })

    const refused: [Record<string, string>, string][] = [
      [{ audience: 'bank' }, 'invalid_target'],
      [{ audience: 'todo,http://latchkey.test' }, 'invalid_target'],
      [{ scope: 'introspect' }, 'invalid_scope'],
      [{ scope: 'todo:read admin' }, 'invalid_scope'],
      [{ scope: 'a  b' }, 'invalid_request'],
      [{ scope: 'a"b' }, 'invalid_request'],
      [{ scope: ' a' }, 'invalid_request'],
    ]
    for (const [asked, error] of refused) {
      const { status, body } = await api.login('ada', PASSWORD, asked)
      t.match({ status, error: body.error }, { status: 400, error }, JSON.stringify(asked))
      if (error === 'invalid_request') t.match(body.error_description, /^scope must be .* with one space between them/)
    }
    const odd = await api.tokens('ada', PASSWORD, { scope: "it's:read" })
    t.equal(odd.scope, "it's:read", 'a single quote is a character of a scope')
  })

  test(`${store}: a device name of any letters is stored as sent, and must not be empty or have control characters`, async (t) => {
    const { api } = await startService(t, store)
    await api.signUp('ada', PASSWORD)
    const refused = ['a\u0000b', 'a\nb', '\u001b[31mred', 'a\u001b[31m', 'a\u007fb', '\u0085', 'x'.repeat(101), '']
    for (const name of refused) {
      t.equal((await api.login('ada', PASSWORD, { device_name: name })).status, 400, JSON.stringify(name))
    }
    // The second name begins with a Greek letter.
    const names = ['Ada’s 📱 «téléphone»', 'Αda’s 📱']
    let bearer = ''
    for (const name of names) bearer = (await api.tokens('ada', PASSWORD, { device_name: name })).access_token
    const { sessions } = (await api.call('/sessions', { bearer })).body
    const stored: string[] = sessions.map((session: { device_name: string }) => session.device_name)
    t.strictSame(stored.toSorted(), names.toSorted())
  })

  test(`${store}: L1: unknown user, wrong password and disabled account get the same status, headers and body`, async (t) => {
    const { api, env } = await startService(t, store)
    await api.signUp('ada', PASSWORD)
    const { body: eve } = await api.signUp('eve', PASSWORD)
    t.equal(await withAccounts(env, (users) => users.disable(eve.id)), true)

    const unknown = await api.login('nobody', PASSWORD)
    const wrong = await api.login('ada', 'incorrect horse battery staple')
    const disabled = await api.login('eve', PASSWORD)
    const disabledAndWrong = await api.login('eve', 'incorrect horse battery staple')

    t.equal(unknown.status, 401)
    t.equal(unknown.body.error, 'invalid_grant')
    t.match(unknown.headers['www-authenticate'], /^Bearer /)
    for (const answer of [wrong, disabled, disabledAndWrong]) t.strictSame(outline(answer), outline(unknown))
    t.equal((await api.login('ada', PASSWORD)).status, 200)
  })

  test(`${store}: L2: unknown user, wrong password and disabled account take the same work`, async (t) => {
    const { api, env } = await startService(t, store, { HASH_COST: 'full' })
    for (const name of ['ada', 'eve']) await api.signUp(name, PASSWORD)
    await withAccounts(env, async (users) => users.disable((await users.findByName('eve'))?.id ?? ''))
    const times: Record<'unknown' | 'wrong' | 'disabled', number[]> = { unknown: [], wrong: [], disabled: [] }
    for (let i = 0; i < 5; i += 1) {
      times.unknown.push(await cpuOf(() => api.login(`nobody${i}`, PASSWORD)))
      times.disabled.push(await cpuOf(() => api.login('eve', PASSWORD)))
      times.wrong.push(await cpuOf(() => api.login('ada', 'incorrect horse battery staple')))
    }
    // Compares the minimum of each. A sign-in without a hash takes a tenth. bench/login-timing.ts compares 500 of each.
    const [unknown, wrong, disabled] = [times.unknown, times.wrong, times.disabled].map((all) => Math.min(...all))
    for (const [name, time] of Object.entries({ unknown, disabled })) {
      const ratio = (time as number) / (wrong as number)
      t.ok(ratio > 0.4 && ratio < 2.5, `${name}: ${ratio.toFixed(2)} times a wrong password`)
    }
  })
}

for (const store of accountStores) {
  test(`${store}: L3: names that are SQL, NoSQL, LDAP, NUL or right-to-left are unknown names`, async (t) => {
    const { api } = await startService(t, store)
    await api.signUp('ada', PASSWORD)
    const unknown = outline(await api.login('nobody', PASSWORD))
    const names = [
      `ada' OR '1'='1`,
      `ada'--`,
      `"; DROP TABLE users; --`,
      'ad%',
      '_da',
      '{"$gt":""}',
      '*)(uid=*))(|(uid=*',
      'ada\u0000',
      '\u0000',
      '\u202eada',
      'ada\u200f',
      'ada\r\nX-Injected: 1',
      '../../etc/passwd',
      '__proto__',
      'constructor',
      'x'.repeat(256),
    ]
    for (const name of names) {
      t.strictSame(outline(await api.login(name, PASSWORD)), unknown, JSON.stringify(name))
    }
    t.equal((await api.login('ada', PASSWORD)).status, 200)
  })

  test(`${store}: L5: a password of 1 MB is refused before it is read and hashed`, async (t) => {
    const { api } = await startService(t, store, { HASH_COST: 'full' })
    // The test never sends the password: a service that waits for it would hang.
    const head =
      'POST /login HTTP/1.1\r\nHost: latchkey\r\nContent-Type: application/json\r\nContent-Length: 1048610\r\n\r\n'
    const refusals: number[] = []
    const hashes: number[] = []
    for (let i = 0; i < 5; i += 1) {
      hashes.push(await cpuOf(() => api.login(`nobody${i}`, PASSWORD)))
      refusals.push(
        await cpuOf(async () => {
          const { status, body } = parseAnswer((await exchange(api.url, head, { until: 'answered' })).text)
          t.match({ status, error: JSON.parse(body).error }, { status: 413, error: 'invalid_request' })
        }),
      )
    }
    t.ok(
      Math.min(...refusals) < Math.min(...hashes) / 2,
      `${Math.min(...refusals)} ms, with a hash ${Math.min(...hashes)} ms`,
    )
  })

  test(`${store}: L5: a password longer than any pass phrase is refused before it is hashed`, async (t) => {
    const { api } = await startService(t, store, { HASH_COST: 'full' })
    const refusals: number[] = []
    const hashes: number[] = []
    for (let i = 0; i < 5; i += 1) {
      hashes.push(await cpuOf(() => api.login(`nobody${i}`, PASSWORD)))
      refusals.push(
        await cpuOf(async () => {
          const { status, body } = await api.login('ada', 'x'.repeat(16_000))
          t.match({ status, error: body.error }, { status: 400, error: 'invalid_request' })
        }),
      )
    }
    t.ok(
      Math.min(...refusals) < Math.min(...hashes) / 2,
      `${Math.min(...refusals)} ms, with a hash ${Math.min(...hashes)} ms`,
    )
  })

  test(`${store}: L13: a user name or password that is not a string is 400, and never coerced`, async (t) => {
    const { api } = await startService(t, store, { PASSWORD_MIN_LENGTH: '8' })
    await api.signUp('12345678', 'q80915374x')
    const values = [12345678, true, null, ['q80915374x'], { $gt: '' }, { length: 9 }, 1.5, []]
    for (const path of ['/login', '/users']) {
      for (const value of values) {
        for (const json of [
          { username: '12345678', password: value },
          { username: value, password: 'q80915374x' },
        ]) {
          const { status, body } = await api.call(path, { json })
          t.match(
            { status, body },
            { status: 400, body: { error: 'invalid_request', error_description: / must be string$/ } },
          )
        }
      }
    }
    for (const more of [{ device_name: 5 }, { scope: ['todo:read'] }, { audience: true }]) {
      const { status } = await api.call('/login', { json: { username: '12345678', password: 'q80915374x', ...more } })
      t.equal(status, 400, JSON.stringify(more))
    }
    for (const raw of ['username=12345678&password[]=q80915374x', 'username=12345678&password[$gt]=']) {
      const { status } = await api.call('/login', {
        raw,
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
      })
      t.equal(status, 400, raw)
    }
    t.equal((await api.login('12345678', 'q80915374x')).status, 200)
  })

  test(`${store}: L14: a duplicate JSON key is 400, in every spelling and at every depth`, async (t) => {
    const { api } = await startService(t, store)
    await api.signUp('ada', PASSWORD)
    const own = `"username":"ada","password":${JSON.stringify(PASSWORD)}`
    const doubled = [
      `{${own},"password":"other"}`,
      `{"password":"other",${own}}`,
      `{${own},"p\\u0061ssword":"other"}`,
      `{${own},"ignored":1,"ignored":1}`,
      `{${own},"ignored":[{"a":1,"a":2}]}`,
      `{${own},"ignored":{"":1,"":2}}`,
    ]
    for (const raw of doubled) {
      const { status, body } = await api.call('/login', { raw, headers: { 'content-type': 'application/json' } })
      t.match({ status, error: body.error }, { status: 400, error: 'invalid_request' }, raw)
    }
    const single = [
      `{${own},"ignored":{"username":{"username":"\\":"}},"list":["username","password"]}`,
      `{ ${own} , "a\\"b" : "\\"password\\":" }`,
    ]
    for (const raw of single) {
      t.equal((await api.call('/login', { raw, headers: { 'content-type': 'application/json' } })).status, 200, raw)
    }
  })
}
