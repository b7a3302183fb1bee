import { test } from 'tap'
import { headerValues } from '../support/gateways/app.js'
import { startCaddy } from '../support/gateways/caddy.js'
import { edgeContract } from '../support/gateways/edges.js'
import { gatewayContract, startBehindGateway } from '../support/gateways/rules.js'

gatewayContract({ name: 'Caddy', start: startCaddy, givesUpWithin: 5 })
edgeContract({ name: 'Caddy', start: startCaddy, pool: ['keepalive 30s', 'keepalive 200ms'], preflight: 'app' })

test('without the recommended line Caddy lets a caller remove the header with the user name', {
  buffered: true,
}, async (t) => {
  const { admit, token, app } = await startBehindGateway(t, {
    start: (t, surroundings) => startCaddy(t, surroundings, (file) => file.replace('respond @hop 400', '')),
  })
  const headers = { connection: 'x-auth-sub' }
  t.equal((await admit('/notes', { bearer: await token(), headers })).status, 200)
  const [arrival] = app.arrivals
  t.strictSame(arrival && headerValues('x-auth-sub', arrival), [])
})
