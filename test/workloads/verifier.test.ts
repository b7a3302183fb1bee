import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createVerifier, type ServiceOptions } from '@latchkey/verifier'
import { type Test, test } from 'tap'
import { basicAuthorization } from '../support/api.js'
import { assertion, jwksOf, makeKeyClient, makeSigner, secondsNow, sign } from '../support/assertions.js'
import { eventually } from '../support/eventually.js'
import { startPassingGateway } from '../support/gateways/passing.js'
import { CLIENT, ISSUER, PASSWORD, startService, stores, temporaryFolder } from '../support/service.js'
import { startSidecar } from '../support/sidecar.js'
import { verdict } from '../support/verifier-setup.js'

const SUBJECT = 'system:serviceaccount:shop:billing'

for (const store of stores) {
  test(`${store}: a verifier without a secret follows the feed and introspects, by a service account and by a key of its own`, async (t) => {
    const { api, env } = await startService(t, store)
    const [cluster, own] = [await makeSigner(), await makeSigner()]
    const issuer = { name: 'cluster', issuer: 'https://cluster.test', jwks: jwksOf(cluster) }
    await api.call('/admin/issuers', { json: issuer, headers: basicAuthorization(CLIENT) })
    await makeKeyClient(env, 'pod', { binding: { issuer: 'cluster', subject: SUBJECT } })
    await makeKeyClient(env, 'own', { jwks: jwksOf(own) })
    const now = secondsNow()
    const claims = { iss: issuer.issuer, sub: SUBJECT, aud: [ISSUER], iat: now, exp: now + 600 }
    const file = join(temporaryFolder(t), 'token')
    writeFileSync(file, `${await sign(cluster, claims)}\n`)
    await api.signUp('ada', PASSWORD)

    const ways: [string, () => string | Promise<string>][] = [
      ['pod', () => readFileSync(file, 'utf8')],
      ['own', () => assertion(own, 'own')],
    ]
    for (const [clientId, clientAssertion] of ways) {
      const options: ServiceOptions = { service: api.url, issuer: ISSUER, audience: ISSUER, clientId, clientAssertion }
      const verifier = createVerifier(options)
      const introspection = createVerifier({
        issuer: ISSUER,
        audience: ISSUER,
        revocation: {
          mode: 'introspect',
          endpoint: `${api.url}/introspect`,
          clientId,
          clientAssertion,
          cacheSeconds: 0,
        },
      })
      t.teardown(() => Promise.all([verifier.close(), introspection.close()]))
      await verifier.ready()
      const { access_token: token } = await api.tokens('ada', PASSWORD)
      t.equal(await verdict(verifier, token), 'good', clientId)
      t.equal(await verdict(introspection, token), 'good', clientId)

      await api.logout(token)

      t.equal(await verdict(introspection, token), 'revoked')
      await eventually(async () => (await verdict(verifier, token)) === 'revoked')
    }
  })
}

test('a sidecar needs no secret: it reads the token of the service account for each request, and says why it cannot', async (t) => {
  const { api, env } = await startService(t, 'sqlite')
  const cluster = await makeSigner()
  const issuer = { name: 'cluster', issuer: 'https://cluster.test', jwks: jwksOf(cluster) }
  await api.call('/admin/issuers', { json: issuer, headers: basicAuthorization(CLIENT) })
  await makeKeyClient(env, 'pod', { binding: { issuer: 'cluster', subject: SUBJECT } })
  await api.signUp('ada', PASSWORD)
  const file = join(temporaryFolder(t), 'token')
  const project = async (exp: number) => {
    const claims = { iss: issuer.issuer, sub: SUBJECT, aud: [ISSUER], iat: secondsNow() - 60, exp }
    writeFileSync(file, `${await sign(cluster, claims)}\n`)
  }
  await project(secondsNow() + 600)
  const settings = { LATCHKEY_URL: api.url, ISSUER, AUDIENCE: ISSUER, CLIENT_ID: 'pod', CLIENT_ASSERTION_FILE: file }
  const sidecar = await startSidecar(t, settings)
  const ask = async (token: string) =>
    (await fetch(`${sidecar.url}/verify`, { headers: { authorization: `Bearer ${token}` } })).status
  const { access_token: one } = await api.tokens('ada', PASSWORD)
  const { access_token: other } = await api.tokens('ada', PASSWORD)
  t.equal(await ask(one), 200)
  await api.logout(one)
  await eventually(async () => (await ask(one)) === 401)

  await project(secondsNow() - 30)
  await eventually(async () => (await ask(other)) === 503)
  rmSync(file)
  await eventually(() => sidecar.output().includes('a token was refused: unavailable'))
  t.equal(await ask(other), 503)
  await project(secondsNow() + 600)
  await eventually(async () => (await ask(other)) === 200)
  t.equal(await ask(one), 401)
  t.equal(sidecar.output().includes('eyJ'), false, 'no assertion is logged')

  const missing = startSidecar(t, { ...settings, CLIENT_ASSERTION_FILE: '/nowhere/token', CLIENT_SECRET: 'secret' })
  await t.rejects(missing, { message: /CLIENT_SECRET and CLIENT_ASSERTION_FILE are both set/ })
})

/** A file that was mounted by mistake. */
const PRIVATE_KEY = '-----BEGIN PRIVATE KEY-----\ncanary\n-----END PRIVATE KEY-----\n'

test('a verifier whose assertion cannot be made, or is refused, accepts nothing', async (t) => {
  const { api } = await startService(t, 'sqlite')
  await api.signUp('ada', PASSWORD)
  const { access_token: token } = await api.tokens('ada', PASSWORD)
  const base = { service: api.url, issuer: ISSUER, audience: ISSUER, clientId: 'own' }
  const stranger = await makeSigner()
  const failing: (() => string | Promise<string>)[] = [
    () => readFileSync('/nowhere', 'utf8'),
    () => Promise.reject(new Error('no token')),
    () => '',
    () => PRIVATE_KEY,
    () => undefined as never,
    () => new Promise(() => {}),
    () => assertion(stranger, 'own'),
  ]
  for (const clientAssertion of failing) {
    const verifier = createVerifier({ ...base, clientAssertion })
    t.teardown(() => verifier.close())
    t.equal(await verdict(verifier, token), 'unavailable')
  }
  const mistaken = createVerifier({ ...base, clientAssertion: () => PRIVATE_KEY })
  t.teardown(() => mistaken.close())
  const { message } = await mistaken.ready().then(
    () => new Error('is ready'),
    (error: Error) => error,
  )
  t.match(message, /clientAssertion must return a JWT/)
  t.notMatch(message, /canary/)
  const waiting = createVerifier({ ...base, clientAssertion: () => new Promise(() => {}) })
  t.teardown(() => waiting.close())
  await t.rejects(waiting.ready(), { message: /clientAssertion gave no assertion within \d+ ms/ })
  const both = { ...base, clientSecret: 'x', clientAssertion: () => 'x' }
  t.throws(() => createVerifier(both), { name: 'TypeError', message: /exclude each other/ })
  t.throws(() => createVerifier({ ...base, clientAssertion: 'token' as never }), /clientAssertion must be a function/)
})

/**
 * A gateway that closes the connection instead of giving every second answer of an address: the first, the third and so on. So
 * the service has used the assertion, and the client knows nothing. A follower asks two addresses at the same time, and either
 * answer may come first.
 */
async function startCuttingGateway(t: Test, target: string): Promise<{ url: string; cut(): string[] }> {
  const cut: string[] = []
  const answersOf = new Map<string, number>()
  const port = await startPassingGateway(
    t,
    (path) => new URL(path, target),
    ({ path, headers }, status) => {
      if (headers.authorization === undefined) return true
      const [address = ''] = path.split('?')
      const answers = answersOf.get(address) ?? 0
      answersOf.set(address, answers + 1)
      if (answers % 2 === 1) return true
      cut.push(`${status} ${address}`)
      return false
    },
  )
  return { url: `http://127.0.0.1:${port}`, cut: () => cut }
}

test('W1 a request that is sent again has its own assertion: the service has used the first one', async (t) => {
  const { api, env } = await startService(t, 'sqlite')
  const signer = await makeSigner()
  await makeKeyClient(env, 'own', { jwks: jwksOf(signer) })
  await api.signUp('ada', PASSWORD)
  const gateway = await startCuttingGateway(t, api.url)
  const credentials = { clientId: 'own', clientAssertion: () => assertion(signer, 'own') }
  const endpoint = `${gateway.url}/introspect`
  const introspection = createVerifier({
    issuer: ISSUER,
    audience: ISSUER,
    revocation: { mode: 'introspect', endpoint, ...credentials, cacheSeconds: 0 },
  })
  t.teardown(() => introspection.close())
  const { access_token: token } = await api.tokens('ada', PASSWORD)
  for (let i = 0; i < 3; i += 1) t.equal(await verdict(introspection, token), 'good')
  t.strictSame(gateway.cut(), Array(3).fill('200 /introspect'), 'the service answered each request that was cut')

  const follower = createVerifier({ service: gateway.url, issuer: ISSUER, audience: ISSUER, ...credentials })
  t.teardown(() => follower.close())
  await follower.ready()
  t.equal(await verdict(follower, token), 'good')
  const [first] = gateway.cut().filter((each) => each.endsWith('/revocations'))
  t.equal(first, '200 /revocations')
  await api.logout(token)
  await eventually(async () => (await verdict(follower, token)) === 'revoked')
})
