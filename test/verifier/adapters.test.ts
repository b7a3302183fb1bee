import { createServer, type IncomingMessage } from 'node:http'
import { createVerifier, type RevocationOptions, type TokenError, type Verifier } from '@latchkey/verifier'
import { createGuards } from '@latchkey/verifier/connect'
import { latchkey } from '@latchkey/verifier/fastify'
import { createGuards as createWebGuards } from '@latchkey/verifier/web'
import Fastify from 'fastify'
import { type Test, test } from 'tap'
import { Api } from '../support/api.js'
import { eventually } from '../support/eventually.js'
import { withClaims } from '../support/gateways/tokens.js'
import { listen, listener } from '../support/key-server.js'
import { CLIENT, ISSUER, JWT_SECRET, PASSWORD, startService } from '../support/service.js'
import { startVerifier, startVerifierSetup } from '../support/verifier-setup.js'

/**
 * The same service on each framework: `/any`, `/scoped` for `todo:read todo:write`, `/roled` for `admin`, `/both`, and
 * `/open`, which uses the claims without a guard.
 */
const frameworks: Record<string, (t: Test, verifier: Verifier) => Promise<string>> = {
  async fastify(t, verifier) {
    const app = Fastify()
    t.teardown(() => app.close())
    await app.register(latchkey, { verifier, realm: 'todo', onRefused })
    app.get('/any', { onRequest: app.requireToken }, async (request) => request.claims)
    app.get('/scoped', { onRequest: app.requireScope('todo:read', 'todo:write') }, async (request) => request.claims)
    app.get('/roled', { onRequest: app.requireRole('admin') }, async (request) => request.claims)
    app.get('/strong', { onRequest: app.requireAuthentication({ acr: '2' }) }, async (request) => request.claims)
    app.get('/recent', { onRequest: app.requireAuthentication({ maxAge: 300 }) }, async (request) => request.claims)
    app.get('/now', { onRequest: app.requireAuthentication({ acr: '1', maxAge: 0 }) }, async () => ({}))
    t.throws(() => app.requireAuthentication({}), /name acr, maxAge or both/)
    app.get(
      '/both',
      { onRequest: [app.requireToken, app.requireScope('todo:read')] },
      async (request) => request.claims,
    )
    app.get('/open', async (request) => request.claims)
    return app.listen({ host: '127.0.0.1', port: 0 })
  },

  async connect(t, verifier) {
    const { requireToken, requireScope, requireRole, requireAuthentication } = createGuards(verifier, {
      realm: 'todo',
      onRefused,
    })
    t.throws(() => requireAuthentication({ maxAge: 1.5 }), /whole number of seconds/)
    t.throws(() => requireAuthentication({ acr: '3' as '2' }), /acr must be/)
    const guards = {
      '/any': [requireToken],
      '/scoped': [requireScope('todo:read', 'todo:write')],
      '/roled': [requireRole('admin')],
      '/strong': [requireAuthentication({ acr: '2' })],
      '/recent': [requireAuthentication({ maxAge: 300 })],
      '/now': [requireAuthentication({ acr: '1', maxAge: 0 })],
      '/both': [requireToken, requireScope('todo:read')],
      '/open': [],
    }
    const server = createServer((request, response) => {
      const next = ([guard, ...others]: (typeof guards)[keyof typeof guards]) => {
        if (guard) return guard(request, response, (error) => (error ? response.destroy() : next(others)))
        response.end(JSON.stringify((request as IncomingMessage).claims ?? { error: 'no claims' }))
      }
      next(guards[request.url as keyof typeof guards])
    })
    return `http://127.0.0.1:${await listen(t, server)}`
  },

  async web(t, verifier) {
    const { requireToken, requireScope, requireRole, requireAuthentication } = createWebGuards(verifier, {
      realm: 'todo',
      onRefused,
    })
    const guards = {
      '/any': [requireToken],
      '/scoped': [requireScope('todo:read', 'todo:write')],
      '/roled': [requireRole('admin')],
      '/both': [requireToken, requireScope('todo:read')],
      '/strong': [requireAuthentication({ acr: '2' })],
      '/recent': [requireAuthentication({ maxAge: 300 })],
      '/now': [requireAuthentication({ acr: '1', maxAge: 0 })],
      '/open': [],
    }
    const handle = async (request: Request): Promise<Response> => {
      let claims: object = { error: 'no claims' }
      for (const guard of guards[new URL(request.url).pathname as keyof typeof guards]) {
        const result = await guard(request)
        if (result instanceof Response) return result
        claims = result
      }
      return Response.json(claims)
    }
    const answer = listener(async (request, response) => {
      const { authorization } = request.headers
      const result = await handle(
        new Request(new URL(request.url ?? '', 'http://localhost'), {
          headers: authorization === undefined ? {} : { authorization },
        }),
      )
      response.writeHead(result.status, Object.fromEntries(result.headers))
      response.end(await result.text())
    })
    return `http://127.0.0.1:${await listen(t, createServer(answer))}`
  },
}

/** What a guard reported of each refused token. */
const reported: { code: string; url: string }[] = []
const onRefused = ({ code }: TokenError, request: { url?: string | undefined }) =>
  void reported.push({ code, url: request.url ?? '' })

const NONE: RevocationOptions = { mode: 'none' }

for (const [name, start] of Object.entries(frameworks)) {
  test(`${name}: a guard passes a valid token with its claims, and refuses other tokens by RFC 6750`, async (t) => {
    const { api } = await startService(t, 'sqlite')
    await api.signUp('ada', PASSWORD)
    const { access_token, sid } = await api.tokens('ada', PASSWORD, { scope: 'todo:read' })
    const url = await start(t, await startVerifier(t, NONE))
    const todo = new Api(url, CLIENT)
    const get = (path: string, authorization?: string) =>
      todo.call(path, authorization === undefined ? {} : { headers: { authorization } })

    for (const scheme of ['Bearer', 'bearer', 'BEARER']) {
      const good = await get('/any', `${scheme} ${access_token}`)
      t.match(good, { status: 200, body: { sid, scope: 'todo:read' } })
    }
    t.equal((await get('/both', `Bearer ${access_token}`)).status, 200)

    for (const none of [undefined, '', 'Basic dG9kbzpwdw==', `Token ${access_token}`]) {
      const { status, headers, body } = await get('/any', none)
      t.equal(status, 401)
      t.equal(headers['www-authenticate'], 'Bearer realm="todo"', 'no code where there is no token')
      t.match(body, { error: 'invalid_token', error_description: String })
    }
    for (const bad of [
      `Bearer ${access_token.slice(0, -4)}AAAA`,
      `Bearer  ${access_token}`,
      `Bearer ${access_token} ${access_token}`,
      `Bearer ${access_token}, Bearer ${access_token}`,
      'Bearer ',
      'Bearer',
    ]) {
      const { status, headers, text } = await get('/any', bad)
      t.equal(status, 401, bad.slice(0, 20))
      t.equal(headers['www-authenticate'], 'Bearer realm="todo", error="invalid_token"')
      t.equal(headers['cache-control'], 'no-store')
      t.notMatch(text, /signature|malformed/, 'why is nobody’s business')
    }

    const elsewhere = withClaims(access_token, { aud: 'elsewhere' })
    reported.length = 0
    t.equal((await get('/any', `Bearer ${elsewhere}`)).status, 401)
    t.equal((await get('/any')).status, 401)
    t.strictSame(
      reported.map(({ code, url }) => [code, new URL(url, 'http://localhost').pathname]),
      [['wrong_audience', '/any']],
      'the service can log why; a request without a token is not reported',
    )

    const scoped = await get('/scoped', `Bearer ${access_token}`)
    t.equal(scoped.status, 403)
    t.equal(
      scoped.headers['www-authenticate'],
      'Bearer realm="todo", error="insufficient_scope", scope="todo:read todo:write"',
    )
    t.match(scoped.body, { error: 'insufficient_scope' })
    const roled = await get('/roled', `Bearer ${access_token}`)
    t.equal(roled.status, 403)
    t.equal(roled.headers['www-authenticate'], 'Bearer realm="todo", error="insufficient_scope"')
    t.equal((await get('/scoped')).status, 401)

    // Without a guard no caller has an identity.
    const open = await get('/open', `Bearer ${access_token}`)
    t.notOk(open.body.sub)
  })

  test(`${name}: a revoked token gets 401; while revocation is unknown, a token gets 503 with Retry-After`, async (t) => {
    const { redis, service, signIn } = await startVerifierSetup(t)
    const [one, other] = [await signIn(), await signIn()]
    const url = await start(t, await startVerifier(t, { mode: 'follow', redis: redis.url }))
    const todo = new Api(url, CLIENT)
    t.equal((await todo.call('/any', { bearer: one.access_token })).status, 200)

    await service.api.logout(one.access_token)
    await eventually(async () => (await todo.call('/any', { bearer: one.access_token })).status === 401)
    await redis.stop()
    await eventually(async () => (await todo.call('/any', { bearer: other.access_token })).status === 503)
    const { headers, body } = await todo.call('/any', { bearer: other.access_token })
    t.equal(headers['retry-after'], '1')
    t.notOk(headers['www-authenticate'])
    t.equal(body.error, 'temporarily_unavailable')
    t.equal((await todo.call('/any', { bearer: one.access_token })).status, 401)
  })
}

test('connect: a guard that refuses after the response was sent changes nothing, and ends no process', async (t) => {
  let release = () => {}
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  const verifier = await startVerifier(t, { mode: 'none' })
  const verified = { ...verifier, verify: (token: string) => held.then(() => verifier.verify(token)) }
  const { requireToken } = createGuards(verified)
  const errors: unknown[] = []
  let guarded: Promise<void> = Promise.resolve()
  const server = createServer((request, response) => {
    requireToken(request, response, (error) => errors.push(error))
    // As a timeout of the application does.
    response.writeHead(503).end()
    guarded = held.then(() => new Promise((resolve) => setImmediate(resolve)))
  })
  const url = `http://127.0.0.1:${await listen(t, server)}`
  const { status } = await fetch(url, { headers: { authorization: 'Bearer a.b.c' } })
  t.equal(status, 503)
  release()
  // tap fails on a rejection that nobody handles.
  await guarded
  t.strictSame(errors, [])
})

test('a guard that requires nothing, or something that no token can have, throws at once', async (t) => {
  const verifier = createVerifier({
    issuer: ISSUER,
    audience: ISSUER,
    keys: { secrets: [JWT_SECRET] },
    revocation: { mode: 'none' },
  })
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(latchkey, { verifier })
  const guards = createGuards(verifier)
  for (const words of [[], [''], ['todo:read todo:write'], ['a"b']] as unknown as [string][]) {
    t.throws(() => app.requireScope(...words), { name: 'TypeError' })
    t.throws(() => app.requireRole(...words), { name: 'TypeError' })
    t.throws(() => guards.requireScope(...words), { name: 'TypeError' })
    t.throws(() => guards.requireRole(...words), { name: 'TypeError' })
  }
  t.throws(() => createGuards(verifier, { realm: 'a"b' }), { name: 'TypeError' })
})

for (const [name, start] of Object.entries(frameworks)) {
  test(`${name}: a service demands a strong or a recent sign-in, and the challenge says so (RFC 9470)`, async (t) => {
    const { api } = await startService(t, 'sqlite')
    await api.signUp('ada', PASSWORD)
    const { access_token: bearer } = await api.tokens('ada', PASSWORD)
    const todo = new Api(await start(t, await startVerifier(t, NONE)), CLIENT)

    t.match(await todo.call('/recent', { bearer }), { status: 200, body: { acr: '1', amr: ['pwd'] } })
    const challenges = {
      '/strong': 'Bearer realm="todo", error="insufficient_user_authentication", acr_values="2"',
      '/now': 'Bearer realm="todo", error="insufficient_user_authentication", acr_values="1", max_age="0"',
    }
    for (const [path, challenge] of Object.entries(challenges)) {
      // `auth_time` is in whole seconds: the sign-in is older than 0 s from the next millisecond on.
      const { status, headers, body } = await todo.call(path, { bearer })
      t.equal(status, 401, path)
      t.equal(headers['www-authenticate'], challenge)
      t.equal(body.error, 'insufficient_user_authentication')
    }
  })
}
