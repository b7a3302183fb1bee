import { test } from 'tap'
import { edgeContract } from '../support/gateways/edges.js'
import { startHaproxy } from '../support/gateways/haproxy.js'
import { gatewayContract, startBehindGateway } from '../support/gateways/rules.js'
import { unixSeconds, withClaims } from '../support/gateways/tokens.js'

gatewayContract({ name: 'HAProxy', start: startHaproxy, givesUpWithin: 5 })
edgeContract({ name: 'HAProxy', start: startHaproxy, preflight: 'app' })

test('HAProxy refuses forged and expired tokens by itself, and admits nobody while the service is down', {
  buffered: true,
}, async (t) => {
  const { call, token, service } = await startBehindGateway(t, { start: startHaproxy })
  const live = await token()
  await service.end('SIGKILL')
  const forged = withClaims(live, {}, 'another secret, no less than 32 bytes long')
  t.equal((await call('/notes', { bearer: forged })).status, 401)
  t.equal((await call('/notes', { bearer: withClaims(live, { exp: unixSeconds() - 1 }) })).status, 401)
  t.equal((await call('/notes', { bearer: withClaims(live, { exp: undefined }) })).status, 401)
  t.equal((await call('/notes', { bearer: live })).status, 503)
})

test('with jwt_verify alone HAProxy admits a token whose session has ended', { buffered: true }, async (t) => {
  const { admit, token, service } = await startBehindGateway(t, {
    start: (t, surroundings) => startHaproxy(t, surroundings, (file) => file.replace(/^ *http-request lua\..*$/gm, '')),
  })
  const bearer = await token()
  await service.api.logout(bearer)
  t.equal((await admit('/notes', { bearer })).status, 200)
})
