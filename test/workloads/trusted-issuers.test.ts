import { copyFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Test, test } from 'tap'
import { basicAuthorization } from '../support/api.js'
import { asserted, jwksOf, makeSigner, refusedClient, secondsNow, sign, tokenBy } from '../support/assertions.js'
import { type ApiServer, bearerNamed, startApiServer } from '../support/key-server.js'
import {
  CLIENT,
  ISSUER,
  type RunningService,
  startReady,
  startService,
  stores,
  temporaryFolder,
} from '../support/service.js'

const BILLING = 'system:serviceaccount:shop:billing'

const adminOf =
  ({ api }: RunningService) =>
  (method: string, path: string, json: object = {}) =>
    api.call(`/admin${path}`, { method, ...(method !== 'GET' && { json }), headers: basicAuthorization(CLIENT) })

/** Trusts the cluster, and binds the client `billing` to its service account shop/billing. */
async function trust(t: Test, service: RunningService, cluster: ApiServer, name = 'cluster'): Promise<void> {
  const { issuer, caFile, bearerFile } = cluster
  const admin = adminOf(service)
  const added = await admin('POST', '/issuers', { name, issuer, ca_file: caFile, bearer_file: bearerFile })
  t.equal(added.status, 201, added.text)
  const client = { id: 'billing', issuer: name, subject: BILLING, scopes: 'introspect todo:read' }
  const made = await admin('POST', '/clients', client)
  t.match(made, { status: 201, body: { has_secret: false, issuer: name, subject: BILLING } })
}

for (const store of stores) {
  test(`${store}: a Kubernetes service account is a client, with no secret anywhere`, async (t) => {
    const service = await startService(t, store)
    const { api, env } = service
    const cluster = await startApiServer(t)
    await trust(t, service, cluster)

    const token = await cluster.token('shop/billing')
    const granted = await tokenBy(api, token)
    t.match(granted, { status: 200, body: { scope: 'todo:read' } })
    t.match(await tokenBy(api, token), { status: 200 }, 'it may be presented again until it expires')
    t.match(await tokenBy(api, token, { client_id: 'billing' }), { status: 200 })
    t.match(await tokenBy(api, token, { client_id: CLIENT.id }), refusedClient)
    const form = { token: granted.body.access_token, ...asserted(token) }
    t.match((await api.call('/introspect', { form })).body, { active: true, sub: 'billing', client_id: 'billing' })
    const asBearer = await api.call('/introspect', { form: { token: granted.body.access_token }, bearer: token })
    t.match(asBearer.body, { active: true }, 'as the bearer token')
    t.strictSame(new Set(cluster.requests), new Set(['200 /.well-known/openid-configuration', '200 /openid/v1/jwks']))
    t.equal(cluster.requests.length, 2, 'the keys are fetched once')

    const { api: replica } = await startReady(t, env)
    t.match(await tokenBy(replica, token), { status: 200 })
  })
}

test('W6 another namespace, a deleted binding, another cluster, another audience', async (t) => {
  const service = await startService(t, 'sqlite')
  const { api, audited } = service
  const admin = adminOf(service)
  const [cluster, wrong] = [await startApiServer(t), await startApiServer(t)]
  await trust(t, service, cluster)
  const refuses = async (token: string, what: string) => t.match(await tokenBy(api, token), refusedClient, what)

  await refuses(await cluster.token('other/billing'), 'another namespace')
  t.match(audited('client.refused').at(-1), {
    method: 'trusted_issuer',
    reason: 'unbound',
    issuer: 'cluster',
    subject: 'system:serviceaccount:other:billing',
  })
  await refuses(await cluster.token('shop/billing2'), 'another account')
  await refuses(await wrong.token('shop/billing'), 'a cluster that nobody trusts')
  await refuses(
    await wrong.token('shop/billing', { iss: cluster.issuer }),
    'the same subject, signed by another cluster',
  )
  t.strictSame(wrong.requests, [], 'nobody asks a cluster that is not trusted')
  for (const aud of [
    ['https://kubernetes.default.svc'],
    [ISSUER, 'https://other.test'],
    ['https://other.test', ISSUER],
    [`${ISSUER}/token`],
    [],
    [[ISSUER]],
    `${ISSUER}/token`,
    undefined,
  ]) {
    await refuses(await cluster.token('shop/billing', { aud }), `aud ${JSON.stringify(aud)}`)
  }
  const now = secondsNow()
  await refuses(
    await cluster.token('shop/billing', { iat: now - 1, exp: now + 86_400 }),
    'it lives longer than 24 hours',
  )
  await refuses(await cluster.token('shop/billing', { iat: undefined, exp: now + 86_405 }), 'so does this one')
  await refuses(await cluster.token('shop/billing', { exp: now }), 'expired')
  await refuses(await cluster.token('shop/billing', { exp: undefined }), 'no exp')
  await refuses(await cluster.token('shop/billing', { nbf: now + 60 }), 'not valid yet')
  t.match(await tokenBy(api, await cluster.token('shop/billing', { aud: ISSUER })), { status: 200 }, 'aud as a string')
  t.match(await tokenBy(api, await cluster.token('shop/billing', { exp: now + 86_400, iat: now })), { status: 200 })

  // The wrong cluster becomes a trusted one: its service account of that name is still not the client.
  await admin('POST', '/issuers', {
    name: 'wrong',
    issuer: wrong.issuer,
    ca_file: wrong.caFile,
    bearer_file: wrong.bearerFile,
  })
  await refuses(await wrong.token('shop/billing'), 'the same subject in another trusted cluster')

  const token = await cluster.token('shop/billing')
  t.match(await admin('DELETE', '/issuers/cluster'), { status: 409, body: { error: 'issuer_in_use' } })
  t.match(await admin('PATCH', '/clients/billing', { issuer: null, subject: null }), { status: 400 }, 'its only proof')
  await admin('POST', '/clients/billing/secret')
  t.match(await admin('PATCH', '/clients/billing', { issuer: null, subject: null }), { status: 200 })
  await refuses(token, 'the binding is deleted')
  t.equal((await admin('DELETE', '/issuers/cluster')).status, 204)
  await refuses(token, 'so is the issuer')
  t.equal(audited('client.refused').at(-1)?.reason, 'unknown_issuer')
})

test('two clusters that keep the default issuer are told apart by their keys', async (t) => {
  const service = await startService(t, 'sqlite')
  const { api } = service
  const admin = adminOf(service)
  const issuer = 'https://kubernetes.default.svc.cluster.local'
  const [blue, green, other] = [await makeSigner('RS256'), await makeSigner(), await makeSigner()]
  for (const [name, signer] of Object.entries({ blue, green })) {
    t.equal((await admin('POST', '/issuers', { name, issuer, jwks: jwksOf(signer) })).status, 201)
    t.equal((await admin('POST', '/clients', { id: `of-${name}`, issuer: name, subject: BILLING })).status, 201)
  }
  const now = secondsNow()
  const claims = { iss: issuer, sub: BILLING, aud: [ISSUER], exp: now + 600, iat: now }
  for (const [signer, id] of [
    [blue, 'of-blue'],
    [green, 'of-green'],
  ] as const) {
    const { body } = await tokenBy(api, await sign(signer, claims))
    t.equal((await api.introspect(body.access_token)).body.sub, id)
  }
  t.match(await tokenBy(api, await sign(other, claims)), refusedClient)
})

test('keys that rotate are found at once; the CA file and the bearer file are read again when they change', async (t) => {
  const service = await startService(t, 'sqlite')
  const { api } = service
  const cluster = await startApiServer(t)
  const caFile = join(temporaryFolder(t), 'ca.crt')
  copyFileSync(cluster.caFile, caFile)
  await trust(t, service, { ...cluster, caFile })
  const status = async () => (await tokenBy(api, await cluster.token('shop/billing'))).status
  t.equal(await status(), 200)
  const before = await cluster.token('shop/billing')

  await cluster.rotateKey()
  copyFileSync(cluster.rotateAuthority().ca, caFile)
  cluster.askFor(bearerNamed('second'))
  writeFileSync(cluster.bearerFile, bearerNamed('second'))
  t.equal(await status(), 200, 'an unknown key id causes a fetch, with the files of now')
  t.match(await tokenBy(api, before), refusedClient, 'the previous key is withdrawn')
  t.equal(cluster.requests.length, 4)
  t.ok(
    cluster.requests.every((request) => request.startsWith('200')),
    'no request had the old bearer token',
  )
})

test('a SPIFFE JWT-SVID: with and without iss, of its trust domain alone', async (t) => {
  const service = await startService(t, 'sqlite')
  const { api } = service
  const admin = adminOf(service)
  const [mesh, other] = [await makeSigner(), await makeSigner()]
  const bundle = {
    keys: [
      { ...(await makeSigner()).publicJwk, use: 'x509-svid' },
      { ...mesh.publicJwk, use: 'jwt-svid', alg: undefined },
    ],
    spiffe_sequence: 7,
    spiffe_refresh_hint: 300,
  }
  const refused = { status: 400, body: { error: 'invalid_request' } }
  t.match(await admin('POST', '/issuers', { name: 'mesh', issuer: 'spiffe://example.org' }), refused, 'no discovery')
  t.match(await admin('POST', '/issuers', { name: 'mesh', issuer: 'spiffe://example.org', jwks: bundle }), refused)
  const { keys } = bundle
  const jwks = { keys: keys.slice(1) }
  t.equal((await admin('POST', '/issuers', { name: 'mesh', issuer: 'spiffe://example.org', jwks })).status, 201)
  await admin('POST', '/issuers', { name: 'other', issuer: 'spiffe://other.org', jwks: jwksOf(other) })
  const subject = 'spiffe://example.org/ns/shop/sa/billing'
  t.equal((await admin('POST', '/clients', { id: 'billing', issuer: 'mesh', subject })).status, 201)
  const now = secondsNow()
  const claims = { sub: subject, aud: [ISSUER], exp: now + 300, iat: now }
  const ask = async (signer: typeof mesh, changes = {}, header = {}) =>
    tokenBy(api, await sign(signer, { ...claims, ...changes }, header))

  t.equal((await ask(mesh)).status, 200)
  t.equal((await ask(mesh, { iss: 'https://spire.example.org' })).status, 200, 'SPIRE may write an iss')
  t.equal((await ask(mesh, {}, { typ: 'JOSE', kid: undefined })).status, 200)
  t.match(await ask(other), refusedClient, 'signed by another trust domain')
  t.match(await ask(other, { iss: 'spiffe://other.org' }), refusedClient)
  t.match(await ask(mesh, { sub: 'spiffe://example.org/ns/shop/sa/web' }), refusedClient)
  for (const sub of [
    'spiffe://example.org',
    'spiffe://EXAMPLE.org/a',
    'spiffe://example.org/a b',
    'spiffe://a@example.org/a',
  ]) {
    t.match(await ask(mesh, { sub }), refusedClient, sub)
  }
})

test('a client is bound to one subject, and a subject to one client', async (t) => {
  const service = await startService(t, 'sqlite')
  const admin = adminOf(service)
  const signer = await makeSigner()
  const issuer = { name: 'cluster', issuer: 'https://cluster.test', jwks: jwksOf(signer) }
  t.equal((await admin('POST', '/issuers', issuer)).status, 201)
  t.match(await admin('POST', '/issuers', issuer), { status: 409, body: { error: 'issuer_name_taken' } })
  const binding = { issuer: 'cluster', subject: BILLING }
  t.equal((await admin('POST', '/clients', { id: 'a', ...binding })).status, 201)
  const taken = { status: 409, body: { error: 'subject_taken' } }
  t.match(await admin('POST', '/clients', { id: 'b', ...binding }), taken)
  await admin('POST', '/clients', { id: 'c' })
  t.match(await admin('PATCH', '/clients/c', binding), taken)
  t.equal((await admin('PATCH', '/clients/a', binding)).status, 200, 'its own')
  t.match(await admin('PATCH', '/clients/c', { issuer: 'nobody', subject: 'x' }), { status: 400 })
  t.match(await admin('PATCH', '/clients/c', { issuer: null }), { status: 400 })
  t.match(await admin('PATCH', '/clients/nobody', {}), { status: 404 })
  t.match((await admin('GET', '/issuers')).body, { issuers: [{ name: 'cluster', jwks_uri: null, ca_file: null }] })
  t.match((await admin('GET', '/issuers/cluster')).body, { name: 'cluster', jwks: jwksOf(signer) })
  t.equal((await admin('GET', '/issuers/nobody')).status, 404)
  t.equal((await admin('DELETE', '/issuers/nobody')).status, 404)
  t.match(service.audited('issuer.created'), [{ issuer: 'cluster', by: CLIENT.id }])
})
