import { setTimeout as pause } from 'node:timers/promises'
import { type Test, test } from 'tap'
import { claimsOf } from '../decode.js'
import { eventually } from '../eventually.js'
import { headerValues } from './app.js'
import { type IdleLimit, startIdleLimit } from './idle.js'
import { type GatewayTargets, IDENTITY, startBehindGateway } from './rules.js'
import type { Sent } from './send.js'
import { withClaims } from './tokens.js'
import { openWebSocket } from './websocket.js'

export interface EdgeGateway {
  name: string
  start(t: Test, targets: GatewayTargets, change: (text: string) => string): Promise<string>
  /**
   * The idle time of the pool in the example, and a time far below the test's limit in the same words. Undefined: no setting
   * exists, and the gateway must close idle connections by itself in time.
   */
  pool?: [example: string, short: string]
  /** The gateway asks through a TLS server of the test, which keeps connections of its own. */
  asksOverTls?: boolean
  /** Who answers a preflight with the lines for preflights. */
  preflight: 'app' | 'gateway'
}

/** Milliseconds. The service lets a connection be idle for 72 s. The test cannot wait so long for a pool with a setting. */
const IDLE_LIMIT = 600
const SERVICE_IDLE_LIMIT = 72_000
const PREFLIGHT = { origin: 'https://app.example.com', 'access-control-request-method': 'POST' }

/** The lines of an example that its reader may turn on: a `#` and no space. `#END` ends a file of APISIX. */
export function uncomment(text: string): string {
  return text.replace(/^(\s*)#(?=\S)(?!END$)/gm, '$1')
}

/** WebSockets, long headers, idle connections and preflights, with the gateway's own program. */
export function edgeContract(gateway: EdgeGateway): void {
  test(`${gateway.name}, at its edges`, { buffered: true }, async (t) => {
    let idle: IdleLimit | undefined
    const { service, app, call, admit, url, token } = await startBehindGateway(t, {
      start: async (t, targets) => {
        idle = await startIdleLimit(t, targets.latchkey, gateway.pool ? IDLE_LIMIT : SERVICE_IDLE_LIMIT)
        return gateway.start(t, { ...targets, latchkey: idle.address }, (text) => {
          if (!gateway.pool) return text
          const [example, short] = gateway.pool
          if (!text.includes(example)) throw new Error(`the example does not say ${example}`)
          return text.replace(example, short)
        })
      },
    })

    await t.test('a WebSocket opens with a live token only; an open one outlives the sign-out', async (t) => {
      const bearer = await token()
      const forged = { 'x-auth-sub': 'root', 'x-auth-roles': 'admin' }
      const open = await openWebSocket(t, url, '/live', { bearer, headers: forged })
      t.equal(open.status, 101)
      t.equal(await open.echo('milk'), 'milk')
      const arrival = app.arrivals.at(-1)
      t.match(arrival, { method: 'GET', url: '/live' })
      t.strictSame(arrival && headerValues('x-auth-sub', arrival), [claimsOf(bearer).sub])
      t.equal(arrival && headerValues('x-auth-roles', arrival).join(), '')

      const before = app.arrivals.length
      t.equal((await openWebSocket(t, url, '/admin/live', { bearer })).status, 403)
      t.equal((await openWebSocket(t, url, '/live', { headers: forged })).status, 401)
      t.equal((await openWebSocket(t, url, '/live', { bearer: 'garbage' })).status, 401)
      t.equal((await service.api.logout(bearer)).status, 204)
      t.equal((await openWebSocket(t, url, '/live', { bearer })).status, 401, 'after the sign-out')
      t.equal(app.arrivals.length, before, 'the application hears nothing')
      t.equal(await open.echo('bread'), 'bread', 'the gateway asks once, when the WebSocket opens')
    })

    await t.test('the longest roles and scope arrive: 32 roles of 64 characters, and 1,000 characters', async (t) => {
      const roles = Array.from({ length: 32 }, (_, index) => `role-${index}-`.padEnd(64, 'r'))
      const scope = Array.from({ length: 40 }, (_, index) => `scope:${index}:`.padEnd(24, 's')).join(' ')
      const bearer = withClaims(await token(), { roles, scope })
      t.equal((await admit('/notes', { bearer })).status, 200)
      const arrival = app.arrivals.at(-1)
      t.strictSame(arrival && headerValues('x-auth-roles', arrival), [roles.join(' ')])
      t.strictSame(arrival && headerValues('x-auth-scope', arrival), [scope])
      t.equal((await admit('/notes', { bearer: await token() })).status, 200, 'the next request on the connection')
    })

    if (!gateway.asksOverTls) {
      await t.test('no request meets a connection that the service closes because it is idle', async (t) => {
        const bearer = await token()
        const before = idle?.connections() ?? 0
        let asked = 0
        const ask = async () => {
          t.equal((await admit('/notes', { bearer })).status, 200)
          asked += 1
        }
        if (!gateway.pool) {
          await ask()
          const idleFor = await eventually(async () => idle?.open() === 0, SERVICE_IDLE_LIMIT / 2)
          return t.comment(`the gateway closed its idle connections after ${idleFor} ms`)
        }
        for (let round = 0; round < 6; round++) {
          for (const gap of [0, 0, 0, IDLE_LIMIT - 50, IDLE_LIMIT + 50]) {
            await pause(gap)
            await ask()
          }
        }
        t.equal(idle?.late(), 0)
        const opened = (idle?.connections() ?? 0) - before
        t.ok(opened < asked, `${opened} connections for ${asked} questions`)
      })
    }

    await t.test('a preflight needs a token, unless the lines for preflights are on', async (t) => {
      const before = app.arrivals.length
      for (const path of ['/notes', '/admin/x'])
        t.equal((await call(path, { method: 'OPTIONS', headers: PREFLIGHT })).status, 401, path)
      t.equal(app.arrivals.length, before, 'the application hears nothing')
    })
  })

  test(`${gateway.name}, with the lines for preflights: a preflight passes without a token, and nothing else does`, {
    buffered: true,
  }, async (t) => {
    const { app, call, admit, url, token } = await startBehindGateway(t, {
      start: (t, targets) => gateway.start(t, targets, uncomment),
    })
    const spelled = (name: string) => [name, name.toUpperCase(), name.replaceAll('-', '_'), name.replace('x-', 'x_')]
    const forged = Object.fromEntries(IDENTITY.flatMap(spelled).map((name) => [name, 'root']))
    for (const path of ['/notes', '/admin/x']) {
      for (const more of [{}, forged, { authorization: 'Bearer garbage' }, { connection: 'close' }]) {
        const before = app.arrivals.length
        const headers = { ...PREFLIGHT, ...more }
        const { status, headers: answer } = await call(path, { method: 'OPTIONS', headers })
        const [arrival] = app.arrivals.slice(before)
        if (gateway.preflight === 'app') {
          t.equal(status, 200, path)
          t.match(arrival, { method: 'OPTIONS', url: path })
        } else {
          t.equal(status, 204, path)
          t.equal(arrival, undefined, 'the gateway answers by itself')
          t.equal(answer['access-control-allow-origin'], PREFLIGHT.origin)
        }
        const told = arrival ? IDENTITY.flatMap((name) => headerValues(name, arrival)).join('') : ''
        t.equal(told, '', 'nobody is named')
      }
    }

    const before = app.arrivals.length
    const refused: [string, Sent][] = [
      ['no preflight', { method: 'OPTIONS', headers: { origin: PREFLIGHT.origin } }],
      ...['GET', 'HEAD', 'POST', 'DELETE', 'PROPFIND'].map((method): [string, Sent] => [
        method,
        { method, headers: { ...PREFLIGHT, 'x-http-method-override': 'OPTIONS' } },
      ]),
    ]
    for (const [what, sent] of refused) t.equal((await call('/notes', sent)).status, 401, what)
    t.equal((await openWebSocket(t, url, '/notes', { headers: PREFLIGHT })).status, 401, 'a WebSocket')
    t.equal((await call('/notes', { headers: { ...PREFLIGHT, 'x-auth-sub': 'root' } })).status, 401)
    t.equal(app.arrivals.length, before, 'the application hears nothing')

    const bearer = await token()
    t.equal((await admit('/notes', { bearer, headers: PREFLIGHT })).status, 200)
    const arrival = app.arrivals.at(-1)
    t.strictSame(arrival && headerValues('x-auth-sub', arrival), [claimsOf(bearer).sub])
    const options = await admit('/notes', { bearer, method: 'OPTIONS' })
    t.equal(options.status, 200, 'OPTIONS with a token is a request like others')
  })
}
