import { createHash, randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import root, { type Test, test } from 'tap'
import { claimsOf } from '../decode.js'
import { eventually } from '../eventually.js'
import { startRedis } from '../servers/redis.js'
import { environment, PASSWORD, type SpawnedService, spawnService } from '../service.js'
import { scaledLimit } from '../time-limits.js'
import { headerValues, startApp, type TestApp } from './app.js'
import { type Sent, send } from './send.js'
import { unixSeconds, withClaims } from './tokens.js'

/** The client of the gateway for introspection. */
export const GATEWAY_CLIENT = { id: 'gateway', secret: 'a-secret+of/the%gateway&its=own:2026' }

export interface GatewayTargets {
  /** `127.0.0.1:PORT` of the service. */
  latchkey: string
  /** `127.0.0.1:PORT` of the application. */
  app: string
}

export interface Gateway {
  name: string
  /** Starts the gateway with its example. Returns its address. */
  start(t: Test, surroundings: GatewayTargets): Promise<string>
  /** How many seconds the gateway waits for a hanging service before it denies. */
  givesUpWithin: number
  /** The status when the state of a token is unknown. The default is 401 or any 5xx, whatever the gateway has. */
  unknown?: RegExp
  /** The gateway introspects, and passes on each claim as it is: `act` is JSON then. */
  passesClaims?: boolean
}

/** What the application learns about the caller. */
export const IDENTITY = [
  'x-auth-sub',
  'x-auth-sid',
  'x-auth-client-id',
  'x-auth-scope',
  'x-auth-roles',
  'x-auth-time',
  'x-auth-amr',
  'x-auth-acr',
  'x-auth-act',
]

/** Every spelling of `/admin/x` that some application reads as this address. */
const SPELLINGS = [
  '/admin/x',
  '/admin',
  '//admin/x',
  '/./admin/x',
  '/x/../admin/x',
  '/%61dmin/x',
  '/%2e/admin/x',
  '/x/%2e%2e/admin/x',
  '/x/..%2fadmin/x',
  '/admin%2fx',
  '/admin;a=b/x',
  '/admin?role=admin',
]

/** How often a request is repeated, after so many milliseconds. */
const [TRIES, PAUSE] = [20, 50]

interface World {
  /** The address of the gateway. */
  url: string
  service: SpawnedService
  app: TestApp
  stopRedis(): Promise<void>
  call(path: string, sent?: Sent): ReturnType<typeof send>
  /**
   * Repeats the request, for a second at most, while `isLate` says that its status may come from a service that was late. On a
   * busy machine the service may exceed a timeout of its store, and then the gateway denies.
   */
  repeat(path: string, sent: Sent | undefined, isLate: (status: number) => boolean): ReturnType<typeof send>
  /** The same for a request that the gateway must admit. */
  admit(path: string, sent?: Sent): ReturnType<typeof send>
  /** A new user's tokens. */
  token(): Promise<string>
}

// The tests wait for timeouts and for the end of tokens, so they run side by side.
root.jobs = 3

/** What every gateway must do, with its own program before the service and an application. */
export function gatewayContract(gateway: Gateway): void {
  const { unknown = /^(401|5\d\d)$/ } = gateway
  test(gateway.name, { buffered: true }, async (t) => {
    const world = await startBehindGateway(t, gateway)
    const { service, app, call, admit } = world
    /** What the gateway answers to a request that it must refuse. `isLate` says which answer of a late service is asked again. */
    const refused = async (
      t: Test,
      path: string,
      { what = path, isLate = isFault, ...sent }: Sent & { what?: string; isLate?: (status: number) => boolean },
    ) => {
      const before = app.arrivals.length
      const { status } = await world.repeat(path, sent, isLate)
      t.equal(app.arrivals.length, before, `${what}: the application hears nothing`)
      return status
    }
    const isFault = (status: number) => status >= 500
    const neverLate = () => false
    // Without an answer of the service, some gateways say 401.
    const isNotForbidden = (status: number) => status !== 403

    await t.test('a live token is admitted, and the application learns its user', async (t) => {
      const act = { sub: 'todo-api', act: { sub: 'gateway' } }
      const token = withClaims(await world.token(), { roles: ['admin', 'audit'], act })
      const { sub, sid } = claimsOf(token)
      const { status } = await admit('/notes/7?sort=up&q=%C3%BC', { bearer: token })
      t.equal(status, 200)
      const arrival = app.arrivals.at(-1)
      t.match(arrival, { method: 'GET', url: '/notes/7?sort=up&q=%C3%BC' })
      const told = Object.fromEntries(IDENTITY.map((name) => [name, arrival && headerValues(name, arrival)]))
      t.strictSame([told['x-auth-sub'], told['x-auth-sid']], [[sub], [sid]])
      t.strictSame(told['x-auth-client-id'], ['latchkey'])
      t.strictSame(told['x-auth-scope'], ['todo:read todo:write'])
      t.strictSame(told['x-auth-roles'], ['admin audit'])
      t.strictSame(
        told['x-auth-act'],
        [gateway.passesClaims ? '{"sub": "todo-api", "act": {"sub": "gateway"}}' : 'todo-api gateway'],
        'the clients that act for the user, the present one first',
      )
    })

    await t.test('a caller without a live token is refused', async (t) => {
      const live = await world.token()
      const { refresh_token } = await service.api.tokens('ada', PASSWORD)
      const bad: Record<string, Sent> = {
        none: {},
        garbage: { bearer: 'garbage' },
        'three dots': { bearer: '...' },
        'a refresh token': { bearer: refresh_token },
        expired: { bearer: withClaims(live, { iat: unixSeconds() - 600, exp: unixSeconds() - 1 }) },
        forged: { bearer: withClaims(live, {}, 'another secret, no less than 32 bytes long') },
        'of another issuer': { bearer: withClaims(live, { iss: 'http://elsewhere.test' }) },
        'another scheme': { headers: { authorization: `Basic ${Buffer.from(`a:${live}`).toString('base64')}` } },
        'a cookie': { headers: { cookie: `access_token=${live}; token=${live}` } },
      }
      for (const [what, sent] of Object.entries(bad)) {
        t.equal(await refused(t, '/notes', { ...sent, what }), 401, what)
      }
      for (const query of [`access_token=${live}`, `token=${live}`]) {
        t.equal(await refused(t, `/notes?${query}`, {}), 401)
      }
    })

    await t.test('a request with two tokens is refused, whichever of them is live', async (t) => {
      const live = await world.token()
      const forged = withClaims(live, { sub: 'somebody else' }, 'another secret, no less than 32 bytes long')
      for (const two of [
        [live, forged],
        [forged, live],
      ]) {
        const authorization = two.map((token) => `Bearer ${token}`)
        const status = await refused(t, '/notes', { headers: { authorization } })
        t.match(String(status), /^40[01]$/)
      }
    })

    await t.test('a revoked token is refused at once', async (t) => {
      for (let round = 0; round < 10; round++) {
        const token = await world.token()
        t.equal((await admit('/notes', { bearer: token })).status, 200)
        t.equal((await admit('/notes', { bearer: token })).status, 200)
        t.equal((await service.api.logout(token)).status, 204)
        t.equal(await refused(t, '/notes', { bearer: token }), 401)
      }
    })

    await t.test('an expired token is refused', async (t) => {
      const exp = unixSeconds() + 3
      const bearer = withClaims(await world.token(), { exp })
      const { status } = await admit('/notes', { bearer })
      // On a busy machine the token may have expired before the answer.
      if (unixSeconds() < exp) t.equal(status, 200)
      await eventually(async () => {
        const asked = unixSeconds()
        const { status } = await call('/notes', { bearer })
        if (status === 200 && asked > exp) t.fail('admitted after its end')
        return status === 401 && asked >= exp
      })
    })

    await t.test('a caller cannot set the user name', async (t) => {
      const token = await world.token()
      const { sub, sid, auth_time: time } = claimsOf(token)
      for (const name of IDENTITY) {
        const spellings = [name, name.toUpperCase(), name.replaceAll('-', '_'), name.replace('x-', 'x_')]
        const forged = [...spellings, name.replace(/-(?!.*-)/, '_')].map((each) => [each, ['admin', 'root']])
        const { status } = await admit('/notes', { bearer: token, headers: Object.fromEntries(forged) })
        t.equal(status, 200)
        const arrival = app.arrivals.at(-1)
        const told = arrival ? IDENTITY.map((name) => headerValues(name, arrival).join()) : []
        t.strictSame(told, [sub, sid, 'latchkey', 'todo:read todo:write', '', String(time), 'pwd', '1', ''], name)
      }
    })

    await t.test('a caller cannot remove the user name by a hop-by-hop header', async (t) => {
      const token = await world.token()
      for (const connection of ['x-auth-sub', 'close, X-Auth-Sub, X-Auth-Roles', 'keep-alive,x-auth-sub']) {
        const before = app.arrivals.length
        const isLate = (status: number) => status === 401 || status >= 500
        const { status } = await world.repeat('/notes', { bearer: token, headers: { connection } }, isLate)
        const arrival = app.arrivals[before]
        if (arrival) t.strictSame(headerValues('x-auth-sub', arrival), [claimsOf(token).sub], connection)
        else t.match(String(status), /^40[03]$/)
      }
    })

    await t.test('the required audience, scope and role are enforced', async (t) => {
      const token = await world.token()
      const enough = { aud: 'todo', scope: 'other todo:write', roles: ['user', 'admin'] }
      const lacking: Record<string, object> = {
        'the audience': { ...enough, aud: 'http://latchkey.test' },
        'the scope': { ...enough, scope: 'todo:read todo:writer' },
        'any scope': { ...enough, scope: '' },
        'the role': { ...enough, roles: ['administrator'] },
        'any role': { ...enough, roles: undefined },
      }
      t.equal((await admit('/admin/x', { bearer: withClaims(token, enough) })).status, 200)
      t.equal(app.arrivals.at(-1)?.url, '/admin/x')
      for (const [what, claims] of Object.entries(lacking)) {
        const bearer = withClaims(token, { ...claims })
        t.equal(await refused(t, '/admin/x', { bearer, what, isLate: isNotForbidden }), 403, what)
        // The caller's own query cannot change the requirements.
        const loosened = '/admin/x?scope=&role=&aud=&scope=todo:read&role=user&aud=http://latchkey.test'
        t.equal(await refused(t, loosened, { bearer, what, isLate: isNotForbidden }), 403, what)
        t.equal((await admit('/notes', { bearer })).status, 200, 'and elsewhere it is good')
      }
      t.equal(await refused(t, '/admin/x', {}), 401)
    })

    await t.test('no spelling of an address avoids its requirements', async (t) => {
      const token = await world.token()
      for (const path of SPELLINGS) {
        const status = await refused(t, path, { bearer: token })
        t.match(String(status), /^40[034]$/, path)
      }
    })

    await t.test('a body arrives unchanged', async (t) => {
      const bearer = await world.token()
      for (const [length, headers] of [
        [1, {}],
        [1_000_000, {}],
        [300_000, { 'transfer-encoding': 'chunked' }],
        [50_000, { expect: '100-continue' }],
        [20_000, { 'content-type': 'application/json', 'content-encoding': 'gzip' }],
      ] as const) {
        const body = randomBytes(length)
        t.equal((await admit('/notes', { bearer, headers, body })).status, 200)
        const sha256 = createHash('sha256').update(body).digest('hex')
        t.match(app.arrivals.at(-1), { method: 'POST', length, sha256 })
      }
      t.equal(await refused(t, '/notes', { body: randomBytes(300_000) }), 401)
    })

    await t.test('every method is forwarded', async (t) => {
      const bearer = await world.token()
      for (const method of ['HEAD', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND', 'REPORT', 'PURGE', 'M-SEARCH']) {
        t.equal((await admit('/notes', { bearer, method })).status, 200, method)
        t.equal(app.arrivals.at(-1)?.method, method)
        t.equal(await refused(t, '/notes', { method, headers: { 'x-auth-sub': 'root' }, what: method }), 401, method)
      }
    })

    await t.test('a caller with long cookies is admitted', async (t) => {
      const cookie = `a=${'b'.repeat(7000)}`
      const { status } = await admit('/notes', { bearer: await world.token(), headers: { cookie } })
      t.equal(status, 200)
      t.strictSame(app.arrivals.at(-1)?.headers.filter(([name]) => /^cookie$/i.test(name))[0]?.[1], cookie)
    })

    await t.test('a hanging service admits nobody; after it recovers, callers are admitted again', async (t) => {
      const bearer = await world.token()
      service.process.kill('SIGSTOP')
      const since = Date.now()
      const status = await refused(t, '/notes', { bearer, isLate: neverLate })
      service.process.kill('SIGCONT')
      t.match(String(status), unknown)
      t.ok(Date.now() - since < scaledLimit(gateway.givesUpWithin * 1000), `gives up after ${Date.now() - since} ms`)
      t.equal((await admit('/notes', { bearer: await world.token() })).status, 200)
    })

    await t.test('F31: neither a service without its store nor a stopped service admits anybody', async (t) => {
      const bearer = await world.token()
      t.equal((await admit('/notes', { bearer })).status, 200)
      await world.stopRedis()
      t.match(String(await refused(t, '/notes', { bearer, isLate: neverLate })), unknown)
      await service.end('SIGKILL')
      t.match(String(await refused(t, '/notes', { bearer, isLate: neverLate })), unknown)
    })
  })
}

export async function startBehindGateway(t: Test, { start }: Pick<Gateway, 'start'>): Promise<World> {
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  const { id, secret } = GATEWAY_CLIENT
  const env = await environment(t, 'sqlite', {
    REDIS_URL: redis.url,
    AUDIENCE: 'http://latchkey.test,todo',
    BOOTSTRAP_CLIENT: `${id}:${secret}`,
  })
  const service = await spawnService(t, env)
  const app = await startApp(t)
  const url = await start(t, { latchkey: new URL(service.api.url).host, app: app.address })
  await service.api.signUp('ada', PASSWORD)
  const repeat: World['repeat'] = async (path, sent, isLate) => {
    for (let i = 1; ; i += 1) {
      const answer = await send(url, path, sent)
      if (!isLate(answer.status) || i > TRIES) return answer
      await sleep(PAUSE)
    }
  }
  return {
    url,
    service,
    app,
    stopRedis: () => redis.stop(),
    call: (path, sent) => send(url, path, sent),
    repeat,
    admit: (path, sent) => repeat(path, sent, (status) => status !== 200),
    token: async () => (await service.api.tokens('ada', PASSWORD, { scope: 'todo:read todo:write' })).access_token,
  }
}
