import * as oauth from 'oauth4webapi'
import * as openid from 'openid-client'
import { type Test, test } from 'tap'
import { basicAuthorization } from '../support/api.js'
import { type Credentials, createClient } from '../support/clients.js'
import { anyStore, environment, PASSWORD, type SpawnedService, spawnService } from '../support/service.js'

// Both libraries as published, each with discovery, client credentials, refresh, token exchange, introspection and revocation.
// The only loosened option allows plain http on loopback.

/** The parameters of an exchange, as the documentation of a library's users has them. */
const exchangeOf = (subject_token: string) => ({
  subject_token,
  subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
  audience: 'todo',
  scope: 'todo:read',
})
const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
const EXCHANGED = {
  token_type: 'bearer',
  issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
  scope: 'todo:read',
}

const methods = ['client_secret_basic', 'client_secret_post'] as const
type Method = (typeof methods)[number]

for (const store of anyStore) {
  test(`${store}: standard clients complete discovery, client credentials, refresh, token exchange, introspection and revocation`, async (t) => {
    // The issuer is the address of the service, because clients compare the two.
    const { ISSUER: _, ...env } = await environment(t, store, { AUDIENCE: 'web,todo' })
    const service = await spawnService(t, env)
    const issuer = new URL(service.api.url.replace('127.0.0.1', 'localhost'))
    await service.api.signUp('ada', PASSWORD)

    for (const method of methods) {
      const client = await createClient(env, method, {
        scopes: ['introspect', 'todo:read', 'todo:write'],
        exchangeAudiences: ['todo'],
      })
      await t.test(`oauth4webapi, ${method}`, (t) => useOauth4webapi(t, service, issuer, client, method))
      await t.test(`openid-client, ${method}`, (t) => useOpenidClient(t, service, issuer, client, method))
    }
  })
}

async function useOauth4webapi(
  t: Test,
  { api }: SpawnedService,
  issuer: URL,
  { id, secret }: Credentials,
  method: Method,
): Promise<void> {
  const client = { client_id: id }
  const loopback = { [oauth.allowInsecureRequests]: true }
  const own = method === 'client_secret_basic' ? oauth.ClientSecretBasic(secret) : oauth.ClientSecretPost(secret)

  const discovered = []
  for (const algorithm of ['oidc', 'oauth2'] as const) {
    const response = await oauth.discoveryRequest(issuer, { algorithm, ...loopback })
    discovered.push(await oauth.processDiscoveryResponse(issuer, response))
  }
  const [server] = discovered as [oauth.AuthorizationServer]
  t.equal(server.issuer, issuer.origin)
  const { subject_types_supported: _subjects, id_token_signing_alg_values_supported: _algorithms, ...rest } = server
  t.strictSame(discovered[1], rest)

  const introspect = async (token: string, as = own) => {
    const response = await oauth.introspectionRequest(server, client, as, token, loopback)
    return oauth.processIntrospectionResponse(server, client, response)
  }
  const refresh = async (token: string) => {
    const response = await oauth.refreshTokenGrantRequest(server, client, own, token, loopback)
    return oauth.processRefreshTokenResponse(server, client, response)
  }

  const granted = await oauth.processClientCredentialsResponse(
    server,
    client,
    await oauth.clientCredentialsGrantRequest(server, client, own, { scope: 'todo:read' }, loopback),
  )
  t.match(granted, { token_type: 'bearer', expires_in: 900, scope: 'todo:read' })
  t.match(await introspect(granted.access_token), { active: true, sub: id, client_id: id, scope: 'todo:read' })

  const signedIn = await api.call('/login', {
    form: { username: 'ada', password: PASSWORD, scope: 'todo:read' },
    headers: basicAuthorization({ id, secret }),
  })
  const refreshed = await refresh(signedIn.body.refresh_token)
  t.match(refreshed, { token_type: 'bearer', scope: 'todo:read', refresh_token: /^lkr_/ })
  t.match(await introspect(refreshed.access_token), { active: true, username: 'ada', client_id: id })

  const exchanged = await oauth.processGenericTokenEndpointResponse(
    server,
    client,
    await oauth.genericTokenEndpointRequest(
      server,
      client,
      own,
      TOKEN_EXCHANGE,
      exchangeOf(refreshed.access_token),
      loopback,
    ),
  )
  t.match(exchanged, EXCHANGED)
  t.match(await introspect(exchanged.access_token), { active: true, username: 'ada', aud: 'todo', act: { sub: id } })

  for (const token of [granted.access_token, refreshed.access_token]) {
    await oauth.processRevocationResponse(await oauth.revocationRequest(server, client, own, token, loopback))
    t.strictSame(await introspect(token), { active: false })
  }
  t.strictSame(await introspect(exchanged.access_token), { active: false }, 'it ends with the session')
  t.match(await failureOf(refresh(refreshed.refresh_token as string)), { error: 'invalid_grant', status: 400 })
  t.match(await failureOf(introspect(granted.access_token, oauth.ClientSecretBasic('wrong'))), {
    name: 'WWWAuthenticateChallengeError',
    status: 401,
  })
}

async function useOpenidClient(
  t: Test,
  { api }: SpawnedService,
  issuer: URL,
  { id, secret }: Credentials,
  method: Method,
): Promise<void> {
  const own = method === 'client_secret_basic' ? openid.ClientSecretBasic(secret) : openid.ClientSecretPost(secret)
  const execute = [openid.allowInsecureRequests]

  await openid.discovery(issuer, id, undefined, own, { execute, algorithm: 'oidc' })
  const config = await openid.discovery(issuer, id, undefined, own, { execute, algorithm: 'oauth2' })
  t.equal(config.serverMetadata().issuer, issuer.origin)

  const granted = await openid.clientCredentialsGrant(config)
  t.match(granted, { token_type: 'bearer', expires_in: 900, scope: 'todo:read todo:write' })
  t.match(await openid.tokenIntrospection(config, granted.access_token), { active: true, sub: id, client_id: id })

  const signedIn = await api.call('/login', {
    form: { username: 'ada', password: PASSWORD, scope: 'todo:read todo:write' },
    headers: basicAuthorization({ id, secret }),
  })
  const refreshed = await openid.refreshTokenGrant(config, signedIn.body.refresh_token)
  t.match(refreshed, { token_type: 'bearer', refresh_token: /^lkr_/ })
  t.match(await openid.tokenIntrospection(config, refreshed.access_token), { active: true, username: 'ada' })

  const exchanged = await openid.genericGrantRequest(config, TOKEN_EXCHANGE, exchangeOf(refreshed.access_token))
  t.match(exchanged, EXCHANGED)
  const told = await openid.tokenIntrospection(config, exchanged.access_token)
  t.match(told, { active: true, username: 'ada', client_id: id, act: { sub: id } })

  // The second token ends its whole session, with the access token.
  await openid.tokenRevocation(config, granted.access_token)
  await openid.tokenRevocation(config, refreshed.refresh_token as string)
  for (const token of [granted.access_token, refreshed.access_token, exchanged.access_token]) {
    t.strictSame(await openid.tokenIntrospection(config, token), { active: false })
  }
  t.match(await failureOf(openid.refreshTokenGrant(config, refreshed.refresh_token as string)), {
    error: 'invalid_grant',
    status: 400,
  })
}

/** The error that a library reports for a refusal. */
const failureOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'no failure',
    (error: unknown) => error,
  )
