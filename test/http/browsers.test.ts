import { test } from 'tap'
import { readConfig } from '../../src/config/read.js'
import type { Answer, Api, Call } from '../support/api.js'
import { AuthenticatorApp } from '../support/authenticator-app.js'
import { anyStore, PASSWORD, startService, startServiceWith } from '../support/service.js'

const ORIGIN = 'https://app.example.com'
const SETTINGS = { CORS_ORIGINS: `${ORIGIN},http://localhost:5173`, REFRESH_COOKIE: 'on' }
const ATTRIBUTES = 'HttpOnly; Secure; SameSite=Strict; Path=/'

/** The value of the cookie that an answer sets. */
function cookieOf({ headers }: Answer): string {
  const [line] = [headers['set-cookie'] ?? ''].flat()
  return /^__Host-latchkey-refresh=([^;]*);/.exec(line ?? '')?.[1] ?? ''
}

const withCookie = (token: string, origin: string | undefined = ORIGIN): Record<string, string> => ({
  cookie: `theme=dark; __Host-latchkey-refresh=${token}`,
  ...(origin !== '' && { origin }),
})

async function signInWithCookie(api: Api, call: Call = {}): Promise<{ token: string; answer: Answer }> {
  const answer = await api.call('/login', {
    json: { username: 'ada', password: PASSWORD, refresh_in: 'cookie' },
    headers: { origin: ORIGIN },
    ...call,
  })
  return { token: cookieOf(answer), answer }
}

for (const store of anyStore) {
  test(`${store}: refresh_in=cookie puts the refresh token into a cookie that refresh rotates and sign-out clears`, async (t) => {
    const { api } = await startService(t, store, SETTINGS)
    await api.signUp('ada', PASSWORD)

    const { answer, token } = await signInWithCookie(api)
    t.equal(answer.status, 200, answer.text)
    t.notOk('refresh_token' in answer.body)
    t.equal(
      String(answer.headers['set-cookie']),
      `__Host-latchkey-refresh=${token}; ${ATTRIBUTES}; Max-Age=${answer.body.refresh_expires_in}`,
    )

    // Two tabs, at once: both get the same successor.
    const both = await Promise.all(
      [0, 1].map(() => api.call('/refresh', { method: 'POST', headers: withCookie(token) })),
    )
    for (const each of both) {
      t.equal(each.status, 200, each.text)
      t.notOk('refresh_token' in each.body)
    }
    const [first, second] = both.map(cookieOf) as [string, string]
    t.equal(first, second)
    t.not(first, token)

    const out = await api.call('/logout', { method: 'POST', headers: withCookie(first) })
    t.equal(out.status, 204)
    t.equal(String(out.headers['set-cookie']), `__Host-latchkey-refresh=; ${ATTRIBUTES}; Max-Age=0`)
    t.notOk(await api.isActive(answer.body.access_token))
    t.equal((await api.call('/refresh', { method: 'POST', headers: withCookie(first) })).status, 400)
  })
}

test('the cookie counts only where Origin is allowed, and only at /refresh and /logout', async (t) => {
  const { api } = await startService(t, 'sqlite', SETTINGS)
  await api.signUp('ada', PASSWORD)
  const { token, answer } = await signInWithCookie(api)

  for (const origin of ['', 'https://evil.example', 'null', `${ORIGIN}.evil.example`, `${ORIGIN}:444`]) {
    const refreshed = await api.call('/refresh', { method: 'POST', headers: withCookie(token, origin) })
    t.match(refreshed, { status: 400, body: { error_description: 'refresh_token is missing' } }, origin)
    t.equal((await api.call('/logout', { method: 'POST', headers: withCookie(token, origin) })).status, 401, origin)
  }
  for (const path of ['/logout-all', '/token', '/revoke', '/users/me/password']) {
    const { status } = await api.call(path, { method: 'POST', json: {}, headers: withCookie(token) })
    t.ok(status >= 400, `${path} ${status}`)
  }
  t.ok(await api.isActive(answer.body.access_token))
})

test('a page of another origin cannot sign a person in by a cookie, and a client keeps its token in the body', async (t) => {
  const { api } = await startService(t, 'sqlite', SETTINGS)
  await api.signUp('ada', PASSWORD)
  const form = { username: 'ada', password: PASSWORD, refresh_in: 'cookie' }

  const foreign = await api.call('/login', { form, headers: { origin: 'https://evil.example' } })
  const client = await api.call('/login', {
    form: { ...form, client_id: api.client.id, client_secret: api.client.secret },
    headers: { origin: ORIGIN },
  })

  for (const answer of [foreign, client]) t.match(answer, { status: 400, body: { error: 'invalid_request' } })
  for (const answer of [foreign, client]) t.notOk(answer.headers['set-cookie'])
})

test('two different refresh tokens spend neither, and two cookies of the name are refused', async (t) => {
  const { api } = await startService(t, 'sqlite', SETTINGS)
  await api.signUp('ada', PASSWORD)
  const { token } = await signInWithCookie(api)
  const other = await api.tokens('ada', PASSWORD)

  const both = await api.call('/refresh', {
    json: { refresh_token: other.refresh_token },
    headers: withCookie(token),
  })
  const twice = await api.call('/refresh', {
    method: 'POST',
    headers: { origin: ORIGIN, cookie: `__Host-latchkey-refresh=${token}; __Host-latchkey-refresh=${token}` },
  })

  for (const answer of [both, twice]) t.match(answer, { status: 400, body: { error: 'invalid_request' } })
  t.equal((await api.refresh(other.refresh_token)).status, 200)
  t.equal((await api.call('/refresh', { method: 'POST', headers: withCookie(token) })).status, 200)
})

test('H15: a cookie that a sibling subdomain can set, because its name only looks like the cookie, is not read', async (t) => {
  const { api } = await startService(t, 'sqlite', SETTINGS)
  await api.signUp('ada', PASSWORD)
  const { token, answer } = await signInWithCookie(api)
  const { refresh_token: foreign } = await api.tokens('ada', PASSWORD)

  // Chromium 156 takes the first two names with `Domain`, also from a page's script, and sends them as they are.
  for (const mark of ['\u00a0', '\u0085', '\u00c2\u00a0', '\t', '\u00a0 ']) {
    const planted = { origin: ORIGIN, cookie: `theme=dark; ${mark}__Host-latchkey-refresh=${foreign}` }
    const refreshed = await api.call('/refresh', { method: 'POST', headers: planted })
    t.match(refreshed, { status: 400, body: { error_description: 'refresh_token is missing' } }, JSON.stringify(mark))
    t.equal((await api.call('/logout', { method: 'POST', headers: planted })).status, 401, JSON.stringify(mark))
  }

  const both = `\u00a0__Host-latchkey-refresh=${foreign}; __Host-latchkey-refresh=${token}`
  const own = await api.call('/refresh', { method: 'POST', headers: { origin: ORIGIN, cookie: both } })
  t.match(own, { status: 200, body: { sid: answer.body.sid } }, 'nor does it disturb the cookie of the person')
})

test('/refresh ignores the access token of an interceptor, expired or not, and still compares two refresh tokens', async (t) => {
  const { api } = await startService(t, 'sqlite', SETTINGS)
  await api.signUp('ada', PASSWORD)
  const [mine, other] = [await api.tokens('ada', PASSWORD), await api.tokens('ada', PASSWORD)]
  const expired = `${mine.access_token.slice(0, -4)}AAAA`

  const first = await api.call('/refresh', { json: { refresh_token: mine.refresh_token }, bearer: expired })
  t.equal(first.status, 200, first.text)
  const next = first.body.refresh_token
  const second = await api.call('/refresh', { json: { refresh_token: next }, bearer: first.body.access_token })
  t.equal(second.status, 200, second.text)
  const differing = await api.call('/refresh', {
    json: { refresh_token: second.body.refresh_token },
    bearer: other.refresh_token,
  })
  t.match(differing, { status: 400, body: { error: 'invalid_request' } })

  const { token } = await signInWithCookie(api)
  const fromCookie = await api.call('/refresh', { method: 'POST', bearer: expired, headers: withCookie(token) })
  t.equal(fromCookie.status, 200, fromCookie.text)
})

test('a sign-out ends the session of the bearer token and the session of the cookie', async (t) => {
  const { api } = await startService(t, 'sqlite', SETTINGS)
  await api.signUp('ada', PASSWORD)
  const earlier = await api.tokens('ada', PASSWORD)
  const { token, answer } = await signInWithCookie(api)

  await api.call('/logout', { method: 'POST', bearer: earlier.access_token, headers: withCookie(token) })

  t.notOk(await api.isActive(earlier.access_token))
  t.notOk(await api.isActive(answer.body.access_token))
})

test('a sign-out by a cookie whose key is unknown is 401, and keeps the cookie', async (t) => {
  const { api, env } = await startService(t, 'sqlite', SETTINGS)
  await api.signUp('ada', PASSWORD)
  const { token, answer } = await signInWithCookie(api)
  const other = await startServiceWith(t, { ...env, REFRESH_SECRET: 'mac-8Vn2Qc5Xz7Lk4Jd9Tw1Hs6Gp3Rb0Yf' })

  const out = await other.api.call('/logout', { method: 'POST', headers: withCookie(token) })

  t.match(out, { status: 401, body: { error: 'invalid_token' } })
  t.notOk(out.headers['set-cookie'])
  t.ok(await api.isActive(answer.body.access_token))
  t.equal((await api.call('/logout', { method: 'POST', headers: withCookie(token) })).status, 204)
})

test('a step-up answers in the cookie too', async (t) => {
  const { api } = await startService(t, 'sqlite', SETTINGS)
  await api.signUp('ada', PASSWORD)
  const { token, answer } = await signInWithCookie(api)

  const steppedUp = await api.call('/login/step-up', {
    json: { password: PASSWORD, refresh_in: 'cookie' },
    bearer: answer.body.access_token,
    headers: { origin: ORIGIN },
  })

  t.equal(steppedUp.status, 200, steppedUp.text)
  t.notOk('refresh_token' in steppedUp.body)
  t.not(cookieOf(steppedUp), token)
  t.equal((await api.call('/refresh', { method: 'POST', headers: withCookie(cookieOf(steppedUp)) })).status, 200)
})

test('a sign-in that must enrol a factor, and one with a factor, get their refresh token in the cookie', async (t) => {
  const { api } = await startService(t, 'sqlite', { ...SETTINGS, MFA: 'required' })
  await api.signUp('ada', PASSWORD)
  const headers = { origin: ORIGIN }
  const { answer } = await signInWithCookie(api)
  t.equal(answer.status, 403, answer.text)
  t.notOk(answer.headers['set-cookie'])
  const bearer = answer.body.mfa_token

  const begun = await api.call('/users/me/factors/totp', { method: 'POST', bearer, headers })
  const confirmed = await api.call('/users/me/factors/totp/confirm', {
    json: { totp: await new AuthenticatorApp(begun.body.secret).next() },
    bearer,
    headers,
  })
  t.equal(confirmed.status, 200, confirmed.text)
  t.notOk('refresh_token' in confirmed.body.tokens)
  t.ok(cookieOf(confirmed).startsWith('lkr_'))

  const again = await signInWithCookie(api)
  const completed = await api.call('/login/mfa', {
    json: { mfa_token: again.answer.body.mfa_token, recovery_code: confirmed.body.recovery_codes[0] },
    headers,
  })
  t.equal(completed.status, 200, completed.text)
  t.notOk('refresh_token' in completed.body)
  t.ok(cookieOf(completed).startsWith('lkr_'))
})

test('only listed origins get CORS headers, only from the routes of people, and a preflight never admits at /verify', async (t) => {
  const { api } = await startService(t, 'sqlite', SETTINGS)
  const preflight = (path: string, origin: string) =>
    api.call(path, {
      method: 'OPTIONS',
      headers: { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization' },
    })

  for (const path of ['/login', '/refresh', '/logout', '/sessions', '/.well-known/jwks.json']) {
    t.match(await preflight(path, ORIGIN), {
      status: 204,
      headers: {
        'access-control-allow-origin': ORIGIN,
        'access-control-allow-credentials': 'true',
        'access-control-allow-headers': /authorization/,
        vary: /origin/i,
      },
    })
    const foreign = await preflight(path, 'https://evil.example')
    t.equal(foreign.status, 405, path)
    t.notOk(foreign.headers['access-control-allow-origin'])
  }
  for (const path of ['/introspect', '/token', '/revoke', '/admin/users', '/revocations']) {
    const answer = await preflight(path, ORIGIN)
    t.equal(answer.status, 405, path)
    t.notOk(answer.headers['access-control-allow-origin'], path)
  }
  for (const path of ['/verify', '/verify/login']) t.equal((await preflight(path, ORIGIN)).status, 401, path)
  // A page must read why it was refused.
  const refused = await api.call('/login', { json: { username: 'ada' }, headers: { origin: ORIGIN } })
  t.match(refused, { status: 400, headers: { 'access-control-allow-origin': ORIGIN } })
  t.equal((await api.call('/nowhere')).status, 404)
  t.equal((await api.call('/login')).status, 405)
})

test('cookies are off by default, and a sign-in that asks for one says so', async (t) => {
  const { api } = await startService(t, 'sqlite', { CORS_ORIGINS: ORIGIN })
  await api.signUp('ada', PASSWORD)

  const { answer } = await signInWithCookie(api)
  t.match(answer, { status: 400, body: { error_description: /REFRESH_COOKIE=on/ } })
  t.notOk(answer.headers['access-control-allow-credentials'])
  const { refresh_token: token } = await api.tokens('ada', PASSWORD)
  t.equal((await api.call('/refresh', { method: 'POST', headers: withCookie(token) })).status, 400)
})

test('an origin with *, a path, a slash, a default port or another scheme is a fault, and a cookie needs origins', (t) => {
  for (const text of [
    '*',
    'https://*.example.com',
    'https://app.example.com/',
    'https://app.example.com/app',
    'https://app.example.com:443',
    'https://App.example.com',
    'app.example.com',
    'null',
    'file:///srv',
    `${ORIGIN},*`,
  ]) {
    t.throws(() => readConfig({ CORS_ORIGINS: text }), /CORS_ORIGINS: (write|an origin has no \*: write)/, text)
  }
  t.throws(() => readConfig({ REFRESH_COOKIE: 'on' }), /REFRESH_COOKIE: is on without CORS_ORIGINS/)
  t.strictSame(readConfig(SETTINGS).corsOrigins, [ORIGIN, 'http://localhost:5173'])
  t.end()
})
