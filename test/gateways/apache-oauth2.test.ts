import { test } from 'tap'
import { countAcceptedLate } from '../support/eventually.js'
import { startApacheOauth2 } from '../support/gateways/apache.js'
import { headerValues } from '../support/gateways/app.js'
import { edgeContract } from '../support/gateways/edges.js'
import { gatewayContract, startBehindGateway } from '../support/gateways/rules.js'

// mod_oauth2 always waits 15 s for an answer.
gatewayContract({ name: 'Apache, mod_oauth2', start: startApacheOauth2, givesUpWithin: 20, passesClaims: true })
edgeContract({ name: 'Apache, mod_oauth2', start: startApacheOauth2, preflight: 'gateway' })

test('with the cache of mod_oauth2 a revoked token is valid until the cache entry expires', {
  buffered: true,
}, async (t) => {
  const { call, admit, token, service } = await startBehindGateway(t, {
    start: (t, surroundings) => startApacheOauth2(t, surroundings, (site) => site.replace('&expiry=0', '&expiry=4')),
  })
  const bearer = await token()
  t.equal((await admit('/notes', { bearer })).status, 200)
  t.equal((await service.api.logout(bearer)).status, 204)
  t.equal((await admit('/notes', { bearer })).status, 200)
  t.equal(await countAcceptedLate(async () => (await call('/notes', { bearer })).status !== 200, 5000), 0)
})

test('without the recommended line Apache lets a caller remove the header with the user name', {
  buffered: true,
}, async (t) => {
  const { admit, token, app } = await startBehindGateway(t, {
    start: (t, surroundings) => startApacheOauth2(t, surroundings, (site) => site.replace(/^.*LATCHKEY_HOP.*$/gm, '')),
  })
  const headers = { connection: 'x-auth-sub' }
  t.equal((await admit('/notes', { bearer: await token(), headers })).status, 200)
  const [arrival] = app.arrivals
  t.strictSame(arrival && headerValues('x-auth-sub', arrival), [])
})
