import { test } from 'tap'
import { claimsOf } from '../support/decode.js'
import { countAcceptedLate } from '../support/eventually.js'
import { startApacheOpenidc } from '../support/gateways/apache.js'
import { headerValues } from '../support/gateways/app.js'
import { edgeContract } from '../support/gateways/edges.js'
import { gatewayContract, startBehindGateway } from '../support/gateways/rules.js'
import { unixSeconds, withClaims } from '../support/gateways/tokens.js'

gatewayContract({ name: 'Apache, mod_auth_openidc', start: startApacheOpenidc, givesUpWithin: 5, passesClaims: true })
edgeContract({
  name: 'Apache, mod_auth_openidc',
  start: startApacheOpenidc,
  preflight: 'gateway',
  asksOverTls: true,
})

test('with the cache of mod_auth_openidc a revoked token is valid until it expires', { buffered: true }, async (t) => {
  const { call, admit, token, service } = await startBehindGateway(t, {
    start: (t, surroundings) =>
      startApacheOpenidc(t, surroundings, (site) => site.replace('OIDCOAuthTokenIntrospectionInterval -1', '')),
  })
  // The module caches no token of more than 512 characters, and claims about the sign-in make one longer.
  const short = { auth_time: undefined, amr: undefined, acr: undefined }
  const bearer = withClaims(await token(), { ...short, exp: unixSeconds() + 5 })
  t.ok(bearer.length <= 512)
  t.equal((await admit('/notes', { bearer })).status, 200)
  t.equal((await service.api.logout(bearer)).status, 204)
  t.equal((await admit('/notes', { bearer })).status, 200)
  const left = Number(claimsOf(bearer).exp) * 1000 - Date.now()
  t.equal(await countAcceptedLate(async () => (await call('/notes', { bearer })).status !== 200, left + 1000), 0)
})

test('with valid-user alone mod_auth_openidc admits OPTIONS without a token, under any name', {
  buffered: true,
}, async (t) => {
  const { admit, app } = await startBehindGateway(t, {
    start: (t, surroundings) =>
      startApacheOpenidc(t, surroundings, (site) =>
        site.replace('Require expr "-n %{REMOTE_USER}"', 'Require valid-user'),
      ),
  })
  t.equal((await admit('/notes', { method: 'OPTIONS', headers: { 'x-auth-sub': 'root' } })).status, 200)
  const [arrival] = app.arrivals
  t.strictSame(arrival && headerValues('x-auth-sub', arrival), ['root'])
})
