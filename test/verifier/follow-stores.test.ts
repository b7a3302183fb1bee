import { createVerifier } from '@latchkey/verifier'
import { type Test, test } from 'tap'
import { createClient } from '../support/clients.js'
import { countAcceptedLate, eventually } from '../support/eventually.js'
import { exchange } from '../support/exchange.js'
import { ageFeed } from '../support/feed.js'
import { keyFileSettings, makeKey, writeKeyFile } from '../support/keys.js'
import { CLIENT, ISSUER, PASSWORD, type RunningService, startService, stores } from '../support/service.js'
import { untilVerifierReady, verdict } from '../support/verifier-setup.js'

function verifierOf(t: Test, { api }: RunningService) {
  const verifier = createVerifier({
    service: api.url,
    issuer: ISSUER,
    audience: [ISSUER, 'todo'],
    clientId: CLIENT.id,
    clientSecret: CLIENT.secret,
  })
  t.teardown(() => verifier.close())
  return verifier
}

for (const store of stores) {
  for (const keys of ['a shared secret', 'a public key']) {
    test(`${store}, ${keys}: ten verifiers find the service and follow each way to end a session`, async (t) => {
      const service = await startService(
        t,
        store,
        keys === 'a public key' ? keyFileSettings(writeKeyFile(t, await makeKey('ES256'))) : {},
      )
      const { api } = service
      await api.signUp('ada', PASSWORD)
      // Otherwise each token would be introspected, because it is of the first seconds of the feed.
      await ageFeed(service.env)
      const verifiers = Array.from({ length: 10 }, () => verifierOf(t, service))
      await Promise.all(verifiers.map(untilVerifierReady))
      const verdicts = (token: string) => Promise.all(verifiers.map((each) => verdict(each, token)))
      const areAll = async (token: string, expected: string) =>
        (await verdicts(token)).every((answer) => answer === expected)
      const ends = async (token: string, how: string) => {
        t.equal(await countAcceptedLate(async () => !(await verdicts(token)).includes('good')), 0, how)
        await eventually(() => areAll(token, 'revoked'))
      }
      const other = await api.tokens('ada', PASSWORD)
      const end = async (how: string, act: (token: string) => Promise<{ status: number }>) => {
        const { access_token } = await api.tokens('ada', PASSWORD)
        t.ok(await areAll(access_token, 'good'), how)
        t.ok((await act(access_token)).status < 300, how)
        await ends(access_token, how)
      }
      await end('sign-out', (token) => api.logout(token))
      await end('revocation', (token) => api.call('/revoke', { form: { token } }))
      t.ok(await areAll(other.access_token, 'good'), 'another session lives')
      await end('sign-out everywhere', (bearer) => api.call('/logout-all', { method: 'POST', bearer }))
      await ends(other.access_token, 'the other session')
    })
  }
}

for (const store of stores) {
  test(`${store}: a sign-out ends an exchanged token at introspection, /verify and a follower over HTTP, with the own token`, async (t) => {
    const service = await startService(t, store, { AUDIENCE: `${ISSUER},todo` })
    const { api } = service
    await api.signUp('ada', PASSWORD)
    await ageFeed(service.env)
    const verifier = verifierOf(t, service)
    await untilVerifierReady(verifier)
    const gateway = await createClient(service.env, 'gateway', { exchangeAudiences: ['todo'] })
    const { access_token: own } = await api.tokens('ada', PASSWORD)
    const { access_token: narrow } = (await exchange(api, gateway, own, { audience: 'todo' })).body
    const verify = async (bearer: string) => (await api.call('/verify', { bearer })).status
    t.match(await verifier.verify(narrow), { aud: 'todo', act: { sub: 'gateway' } })
    t.strictSame([await api.isActive(narrow), await verify(narrow)], [true, 200])

    await api.logout(own)

    t.strictSame([await api.isActive(narrow), await verify(narrow)], [false, 401], 'at once')
    const both = async () => [await verdict(verifier, own), await verdict(verifier, narrow)]
    t.equal(await countAcceptedLate(async () => !(await both()).includes('good')), 0)
    await eventually(async () => (await both()).every((answer) => answer === 'revoked'))
  })
}
