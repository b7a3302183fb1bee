import { randomBytes } from 'node:crypto'
import { test } from 'tap'
import { readPage } from '../pages.js'
import { eventually } from '../support/eventually.js'
import { headerValues } from '../support/gateways/app.js'
import { startNameServer } from '../support/gateways/dns.js'
import { edgeContract } from '../support/gateways/edges.js'
import { startForwarder } from '../support/gateways/forwarder.js'
import { startNginx } from '../support/gateways/nginx.js'
import { GATEWAY_CLIENT, gatewayContract, startBehindGateway } from '../support/gateways/rules.js'
import { freePort } from '../support/servers/ports.js'

gatewayContract({ name: 'nginx', start: startNginx, givesUpWithin: 5, unknown: /^503$/ })
edgeContract({
  name: 'nginx',
  start: startNginx,
  pool: ['keepalive_timeout 30s', 'keepalive_timeout 200ms'],
  preflight: 'app',
})

test('F31: while the service cannot tell, or is down, nginx answers 503 and when to try again; a 500 of the application stays', {
  buffered: true,
}, async (t) => {
  const { call, repeat, token, service, app, stopRedis } = await startBehindGateway(t, { start: startNginx })
  const bearer = await token()
  const broken = await repeat('/notes', { bearer, headers: { 'x-answer': 500 } }, (status) => status !== 500)
  t.equal(broken.status, 500)
  t.equal(app.arrivals.length, 1)
  await stopRedis()
  t.match(await call('/notes', { bearer }), { status: 503, headers: { 'retry-after': '1' } }, 'no store')
  await service.end('SIGKILL')
  for (const path of ['/notes', '/admin/x']) {
    t.match(await call(path, { bearer }), { status: 503, headers: { 'retry-after': '1' } }, 'no service')
  }
  t.equal(app.arrivals.length, 1, 'the application hears nothing more')
})

test('auth_request at /introspect would admit everyone, because it reads only the status', {
  buffered: true,
}, async (t) => {
  const basic = Buffer.from(Object.values(GATEWAY_CLIENT).join(':')).toString('base64')
  const { admit, token, service, app } = await startBehindGateway(t, {
    start: (t, surroundings) =>
      startNginx(t, surroundings, (site) =>
        site
          .replace('proxy_pass http://latchkey/verify;', 'proxy_pass http://latchkey/introspect;')
          .replace('proxy_method GET;', 'proxy_method POST; proxy_set_body "token=$http_x_token";')
          .replace('proxy_set_header Content-Length "";', 'proxy_set_header Content-Type $http_x_type;')
          .replace(
            'proxy_set_header Authorization $http_authorization;',
            `proxy_set_header Authorization "Basic ${basic}";`,
          ),
      ),
  })
  const revoked = await token()
  await service.api.logout(revoked)
  const headers = { 'x-type': 'application/x-www-form-urlencoded' }
  for (const each of ['garbage', revoked]) {
    t.equal((await admit('/notes', { headers: { ...headers, 'x-token': each } })).status, 200)
  }
  t.equal(app.arrivals.length, 2, 'the application hears from nobody knows whom')
})

test('bodies that nginx announces and never sends do not consume the requests behind them', {
  buffered: true,
}, async (t) => {
  const { call, admit, token, app } = await startBehindGateway(t, {
    start: (t, surroundings) =>
      startNginx(t, surroundings, (site) =>
        // Most auth_request configurations forward the caller's own Content-Length.
        site.replace('proxy_set_header Content-Length "";', '').replace('proxy_pass_request_headers off;', ''),
      ),
  })
  const bearer = await token()
  for (let round = 0; round < 20; round++) {
    t.equal((await admit('/notes', { bearer, body: randomBytes(200) })).status, 200)
    t.equal(app.arrivals.at(-1)?.length, 200)
    t.equal((await call('/notes', { body: randomBytes(200) })).status, 401)
    t.equal((await admit('/notes', { bearer })).status, 200)
    t.equal((await call('/notes')).status, 401)
  }
})

test('a location with its own proxy_set_header loses the inherited ones: there a caller can set the user name', {
  buffered: true,
}, async (t) => {
  const { admit, token, app } = await startBehindGateway(t, {
    start: (t, surroundings) =>
      startNginx(t, surroundings, (site) =>
        site.replace('auth_request /latchkey/signed-in;', '$& proxy_set_header X-Own own;'),
      ),
  })
  t.equal((await admit('/notes', { bearer: await token(), headers: { 'x-auth-sub': 'root' } })).status, 200)
  const [arrival] = app.arrivals
  t.strictSame(arrival && headerValues('x-auth-sub', arrival), ['root'])
})

test('with a resolver nginx follows a name to its new address', { buffered: true }, async (t) => {
  const [resolver = '', set = ''] =
    /resolver .*;\n +set \$latchkey .*;/.exec(readPage('docs/gateways.md'))?.[0].split('\n') ?? []
  const port = await freePort()
  const names = await startNameServer(t, '127.0.0.2')
  let target = ''
  const { call, repeat, admit, token, app } = await startBehindGateway(t, {
    start: (t, surroundings) => {
      target = surroundings.latchkey
      const lines = [
        resolver.replace(/resolver \S+ valid=\S+/, `resolver 127.0.0.1:${names.port} valid=1s`),
        set.replace(/latchkey\.latchkey\.[a-z.]+/, `latchkey.test:${port}`),
      ]
      return startNginx(t, surroundings, (site) =>
        site
          .replace(/listen .*;/, `$&\n${lines.join('\n').replaceAll('$', '$$$$')}`)
          .replaceAll('http://latchkey/', 'http://$latchkey/'),
      )
    },
  })
  const first = await startForwarder(t, '127.0.0.2', port, target)
  const bearer = await token()
  t.equal((await admit('/notes', { bearer })).status, 200)
  const { status } = await repeat('/admin/x', { bearer }, (status) => status === 503)
  t.equal(status, 403, 'the question has its query')
  t.equal((await admit('/notes?role=admin', { bearer })).status, 200, 'and not the query of the caller')

  await first.stop()
  t.equal((await call('/notes', { bearer })).status, 503)
  await startForwarder(t, '127.0.0.3', port, target)
  names.point('127.0.0.3')
  await eventually(async () => (await call('/notes', { bearer })).status === 200)
  t.equal((await call('/notes')).status, 401)
  t.equal(app.arrivals.length, 3)
})
