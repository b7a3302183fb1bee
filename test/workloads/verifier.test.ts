import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createVerifier, type ServiceOptions } from '@latchkey/verifier'
import { test } from 'tap'
import { assertion, ISSUER, jwksOf, makeKeyClient, makeSigner, secondsNow, sign } from '../support/assertions.js'
import { basicAuthorization } from '../support/clients.js'
import { eventually } from '../support/eventually.js'
import { CLIENT, PASSWORD, startService, stores, temporaryFolder } from '../support/service.js'
import { verdict } from '../support/verifier-setup.js'

const SUBJECT = 'system:serviceaccount:shop:billing'

for (const store of stores) {
  test(`${store}: a verifier without a secret follows the feed and introspects, by a service account and by a key of its own`, async (t) => {
    const { api, env } = await startService(t, store)
    const [cluster, own] = [await makeSigner('RS256'), await makeSigner()]
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
    () => assertion(stranger, 'own'),
  ]
  for (const clientAssertion of failing) {
    const verifier = createVerifier({ ...base, clientAssertion })
    t.teardown(() => verifier.close())
    t.equal(await verdict(verifier, token), 'unavailable')
  }
  const both = { ...base, clientSecret: 'x', clientAssertion: () => 'x' }
  t.throws(() => createVerifier(both), { name: 'TypeError', message: /exclude each other/ })
  t.throws(() => createVerifier({ ...base, clientAssertion: 'token' as never }), /clientAssertion must be a function/)
})
