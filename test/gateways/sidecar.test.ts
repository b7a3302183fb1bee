import { type Test, test } from 'tap'
import { claimsOf } from '../support/decode.js'
import { countAcceptedLate, eventually } from '../support/eventually.js'
import { headerValues } from '../support/gateways/app.js'
import { startCaddy } from '../support/gateways/caddy.js'
import { startHaproxy } from '../support/gateways/haproxy.js'
import { startNginx } from '../support/gateways/nginx.js'
import { GATEWAY_CLIENT, type Gateway, startBehindGateway } from '../support/gateways/rules.js'
import { withClaims } from '../support/gateways/tokens.js'
import { startSidecar } from '../support/sidecar.js'

const gateways: Record<string, Gateway['start']> = {
  'nginx auth_request': startNginx,
  'Caddy forward_auth': startCaddy,
  HAProxy: startHaproxy,
}

/** The example of a gateway, unchanged, with the sidecar in place of the service. */
const behindSidecar =
  (start: Gateway['start']): Gateway['start'] =>
  async (t: Test, { latchkey, app }) => {
    const sidecar = await startSidecar(t, {
      LATCHKEY_URL: `http://${latchkey}`,
      ISSUER: 'http://latchkey.test',
      AUDIENCE: 'http://latchkey.test,todo',
      CLIENT_ID: GATEWAY_CLIENT.id,
      CLIENT_SECRET: GATEWAY_CLIENT.secret,
    })
    return start(t, { latchkey: new URL(sidecar.url).host, app })
  }

for (const [name, start] of Object.entries(gateways)) {
  test(`${name} with the sidecar: a live token is admitted with its claims, and no other request arrives`, {
    buffered: true,
  }, async (t) => {
    const { service, app, call, admit, token } = await startBehindGateway(t, { start: behindSidecar(start) })
    const live = withClaims(await token(), { roles: ['admin'], aud: 'todo', act: { sub: 'todo-api' } })
    t.equal(
      (await admit('/notes/7?sort=up', { bearer: live, headers: { 'x-auth-sub': 'root', 'x-auth-act': 'root' } }))
        .status,
      200,
    )
    const arrival = app.arrivals.at(-1)
    t.match(arrival, { method: 'GET', url: '/notes/7?sort=up' })
    t.strictSame(arrival && headerValues('x-auth-sub', arrival), [claimsOf(live).sub])
    t.strictSame(arrival && headerValues('x-auth-roles', arrival), ['admin'])
    t.strictSame(arrival && headerValues('x-auth-act', arrival), ['todo-api'])
    t.equal((await admit('/admin/x', { bearer: live })).status, 200)
    t.equal((await admit('/notes', { bearer: await token(), body: Buffer.from('a body') })).status, 200)

    const before = app.arrivals.length
    const plain = await token()
    t.equal((await call('/admin/x', { bearer: plain })).status, 403)
    t.equal((await call('/notes')).status, 401)
    t.equal((await call('/notes', { bearer: 'garbage' })).status, 401)
    t.equal((await call('/notes', { bearer: withClaims(plain, { aud: 'elsewhere' }) })).status, 401)
    t.equal((await call('/notes', { body: Buffer.from('a body') })).status, 401)
    t.equal(app.arrivals.length, before, 'the application hears nothing')

    t.equal((await admit('/notes', { bearer: plain })).status, 200)
    t.equal((await service.api.logout(plain)).status, 204)
    t.equal(await countAcceptedLate(async () => (await call('/notes', { bearer: plain })).status === 401), 0)
    await service.end('SIGKILL')
    await eventually(async () => (await call('/notes', { bearer: live })).status >= 500)
    t.match(String((await call('/notes', { bearer: plain })).status), /^(401|5\d\d)$/)
  })
}
