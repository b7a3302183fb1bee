import * as oauth from 'oauth4webapi'
import * as openid from 'openid-client'
import { test } from 'tap'
import { asserted, assertion, jwksOf, makeKeyClient, makeSigner, signerAlgorithms } from '../support/assertions.js'
import { startKeyServer } from '../support/key-server.js'
import { environment, PASSWORD, spawnService, stores } from '../support/service.js'

// Both libraries as published. The only loosened option allows plain http on loopback.

for (const store of stores) {
  test(`${store}: oauth4webapi and openid-client, unmodified, authenticate by private_key_jwt`, async (t) => {
    // The issuer is the address of the service, because clients compare the two.
    const { ISSUER: _, ...env } = await environment(t, store)
    const { api } = await spawnService(t, env)
    const issuer = new URL(api.url.replace('127.0.0.1', 'localhost'))
    await api.signUp('ada', PASSWORD)

    for (const alg of signerAlgorithms) {
      const signer = await makeSigner(alg)
      const { privateKey } = signer
      const { kid } = signer.publicJwk
      const keys = await startKeyServer(t, (_request, response) => response.end(JSON.stringify(jwksOf(signer))))
      const id = `client-${alg}`
      await makeKeyClient(env, id, { jwksUri: keys.url }, ['introspect', 'todo:read'])
      const form = {
        username: 'ada',
        password: PASSWORD,
        ...asserted(await assertion(signer, id, { aud: issuer.origin })),
      }
      const signIn = async () => (await api.call('/login', { form })).body.refresh_token as string

      const loopback = { [oauth.allowInsecureRequests]: true }
      const client = { client_id: id }
      const discovered = await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...loopback })
      const server = await oauth.processDiscoveryResponse(issuer, discovered)
      t.ok(server.token_endpoint_auth_signing_alg_values_supported?.includes(alg))
      // With and without a kid in the header of the assertion.
      for (const own of [oauth.PrivateKeyJwt({ key: privateKey, kid }), oauth.PrivateKeyJwt(privateKey)]) {
        const response = await oauth.clientCredentialsGrantRequest(server, client, own, {}, loopback)
        const { access_token: token } = await oauth.processClientCredentialsResponse(server, client, response)
        const introspect = async () =>
          oauth.processIntrospectionResponse(
            server,
            client,
            await oauth.introspectionRequest(server, client, own, token, loopback),
          )
        t.match(await introspect(), { active: true, client_id: id, scope: 'todo:read' }, alg)
        await oauth.processRevocationResponse(await oauth.revocationRequest(server, client, own, token, loopback))
        t.strictSame(await introspect(), { active: false })
      }

      const execute = [openid.allowInsecureRequests]
      const own = openid.PrivateKeyJwt({ key: privateKey, kid })
      const config = await openid.discovery(issuer, id, undefined, own, { execute })
      const granted = await openid.clientCredentialsGrant(config)
      t.match(await openid.tokenIntrospection(config, granted.access_token), { active: true, sub: id })
      const refreshed = await openid.refreshTokenGrant(config, await signIn())
      t.match(await openid.tokenIntrospection(config, refreshed.access_token), { active: true, username: 'ada' })
      await openid.tokenRevocation(config, refreshed.refresh_token as string)
      t.strictSame(await openid.tokenIntrospection(config, refreshed.access_token), { active: false })
    }
  })
}
