import { createVerifier } from '@latchkey/verifier'
import { createRemoteJWKSet, jwtVerify } from 'jose'
import * as oauth from 'oauth4webapi'
import * as openid from 'openid-client'
import { type Test, test } from 'tap'
import { createClient } from '../support/clients.js'
import { startPassingGateway } from '../support/gateways/passing.js'
import { keyFileSettings, makeKey, writeKeyFile } from '../support/keys.js'
import { PASSWORD, startService } from '../support/service.js'

const PATH = '/auth'

/** What a gateway sends to the service, from the address that its caller asks for. */
const gateways: Record<string, (url: string) => string> = {
  'removes the path': (url) => url.replace(/^\/auth(?=\/|\?|$)/, '') || '/',
  'keeps the path': (url) => url,
}

interface Gateway {
  issuer: URL
  /** The status of each answer so far, by the address that a caller asked for. */
  answered: Map<string, number>
  /** From now on the gateway asks this service. */
  target(url: string): void
}

/** A gateway for the paths of the service, and for its well-known addresses at the root of the host. */
async function startGateway(t: Test, map: (url: string) => string): Promise<Gateway> {
  let service = ''
  const answered = new Map<string, number>()
  const port = await startPassingGateway(
    t,
    (path) => new URL(map(path), service),
    ({ path }, status) => {
      answered.set(path, status)
      return true
    },
  )
  const issuer = new URL(`http://localhost:${port}${PATH}`)
  const target = (url: string) => {
    service = url
  }
  return { issuer, answered, target }
}

for (const [what, map] of Object.entries(gateways)) {
  test(`behind a gateway that ${what}, oauth4webapi, openid-client, jose and the verifier find everything in the metadata`, async (t) => {
    const { issuer, answered, target } = await startGateway(t, map)
    const key = await makeKey('ES256')
    const { api, env } = await startService(t, 'sqlite', {
      ISSUER: issuer.href,
      AUDIENCE: 'todo',
      ...keyFileSettings(writeKeyFile(t, key)),
    })
    target(api.url)
    const { id, secret } = await createClient(env, 'backend', { scopes: ['introspect', 'todo:read'] })
    await api.signUp('ada', PASSWORD)
    const { access_token: token } = await api.tokens('ada', PASSWORD)
    const loopback = { [oauth.allowInsecureRequests]: true }

    const documents = []
    for (const algorithm of ['oauth2', 'oidc'] as const) {
      const response = await oauth.discoveryRequest(issuer, { algorithm, ...loopback })
      const server = await oauth.processDiscoveryResponse(issuer, response)
      documents.push(server)
      const client = { client_id: id }
      const introspection = await oauth.processIntrospectionResponse(
        server,
        client,
        await oauth.introspectionRequest(server, client, oauth.ClientSecretBasic(secret), token, loopback),
      )
      t.match(introspection, { active: true, iss: issuer.href }, `oauth4webapi, ${algorithm}`)
      const headers = { authorization: `Bearer ${token}` }
      const claims = await oauth.validateJwtAccessToken(
        server,
        new Request('http://todo.test/items', { headers }),
        'todo',
        { signingAlgorithms: ['ES256'], ...loopback },
      )
      t.match(claims, { iss: issuer.href, aud: 'todo' })

      const execute = [openid.allowInsecureRequests]
      const config = await openid.discovery(issuer, id, undefined, openid.ClientSecretPost(secret), {
        execute,
        algorithm,
      })
      const granted = await openid.clientCredentialsGrant(config)
      t.match(await openid.tokenIntrospection(config, granted.access_token), { active: true, sub: id }, algorithm)
      await openid.tokenRevocation(config, granted.access_token)
      t.strictSame(await openid.tokenIntrospection(config, granted.access_token), { active: false })
    }

    const judges = createRemoteJWKSet(new URL(String(documents[0]?.jwks_uri)))
    t.match((await jwtVerify(token, judges, { issuer: issuer.href })).payload, { aud: 'todo' })
    const verifier = await createVerifier({
      service: issuer.href,
      audience: 'todo',
      clientId: id,
      clientSecret: secret,
    })
    t.teardown(() => verifier.close())
    t.match(await verifier.verify(token), { iss: issuer.href })

    // Every other address in the metadata exists too.
    for (const document of documents) {
      for (const address of Object.values(document)) {
        if (typeof address !== 'string' || address === issuer.href) continue
        t.ok(address.startsWith(`${issuer.href}/`), address)
        t.not((await fetch(address)).status, 404, address)
      }
    }
    const { port } = issuer
    for (const name of ['oauth-authorization-server', 'openid-configuration']) {
      for (const address of [`/.well-known/${name}${PATH}`, `${PATH}/.well-known/${name}`]) {
        t.match(await (await fetch(`http://localhost:${port}${address}`)).json(), { issuer: issuer.href }, address)
      }
    }
    t.notOk([...answered.values()].some((status) => status === undefined || status >= 500))
  })
}

test('below the path of the issuer every route answers as at its plain address', async (t) => {
  const { api, env } = await startService(t, 'sqlite', { ISSUER: 'https://auth.example.com/tenant/one/' })
  await api.signUp('ada', PASSWORD)
  const { access_token: bearer } = await api.tokens('ada', PASSWORD)
  await createClient(env, 'backend')
  for (const [path, status, options] of [
    ['/sessions', 200, { bearer }],
    ['/sessions', 401, {}],
    ['/verify', 200, { bearer }],
    ['/verify/x?scope=todo:read', 403, { bearer }],
    ['/verify?roles=admin', 403, { bearer }],
    ['/login', 405, {}],
    ['/login', 400, { json: {} }],
    ['/sessions', 501, { method: 'PROPFIND' }],
    ['/admin/users', 401, {}],
    ['/admin/users', 401, { bearer }],
    ['/nothing', 404, {}],
    ['/', (await api.call('/')).status, {}],
    ['', (await api.call('/')).status, {}],
    ['?a=b', (await api.call('/?a=b')).status, {}],
  ] as const) {
    t.equal((await api.call(`/tenant/one${path}`, options)).status, status, `below the path: ${path}`)
    if (path.startsWith('/')) t.equal((await api.call(path, options)).status, status, path)
  }
  // Only the path itself is removed, and only once.
  for (const path of [
    '/tenant/oneverify',
    '/tenant/verify',
    '/tenant/two/verify',
    '/one/verify',
    '/Tenant/one/verify',
    '/tenant/one/tenant/one/verify',
    '/x/tenant/one/verify',
    '/tenant/one//verify',
    '/tenant/one%2fverify',
  ]) {
    t.equal((await api.call(path, { bearer })).status, 404, path)
  }
})

test('a path that begins like a route is not removed: the plain addresses count', async (t) => {
  const { api } = await startService(t, 'sqlite', { ISSUER: 'https://example.com/users' })
  await api.signUp('ada', PASSWORD)
  const { access_token: bearer } = await api.tokens('ada', PASSWORD)
  t.equal((await api.call('/users/me', { method: 'DELETE', bearer, json: { password: PASSWORD } })).status, 204)
  t.equal((await api.call('/users/verify', { bearer })).status, 404)
  t.match(await api.call('/.well-known/oauth-authorization-server/users'), {
    status: 200,
    body: { issuer: 'https://example.com/users' },
  })
})
