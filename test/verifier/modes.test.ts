import type { RevocationOptions } from '@latchkey/verifier'
import { test } from 'tap'
import { bentClock } from '../support/bent-clock.js'
import { eventually, untilNextSecond } from '../support/eventually.js'
import { CLIENT, ISSUER } from '../support/service.js'
import { startVerifier, startVerifierSetup, type VerifierSetup, verdict } from '../support/verifier-setup.js'

const modes: Record<string, (setting: VerifierSetup) => RevocationOptions> = {
  follow: ({ redis }) => ({ mode: 'follow', redis: redis.url }),
  lookup: ({ redis }) => ({ mode: 'lookup', redis: redis.url }),
  'lookup by a client of ioredis': ({ admin }) => ({ mode: 'lookup', redis: admin }),
  'follow by a client of ioredis': ({ admin }) => ({ mode: 'follow', redis: admin }),
  introspect: ({ service }) => introspection(service.api.url, 0),
  'introspect, remembered for a second': ({ service }) => introspection(service.api.url, 1),
}

function introspection(url: string, cacheSeconds: number): RevocationOptions {
  return {
    mode: 'introspect',
    endpoint: `${url}/introspect`,
    clientId: CLIENT.id,
    clientSecret: CLIENT.secret,
    cacheSeconds,
  }
}

for (const [name, revocation] of Object.entries(modes)) {
  test(`${name}: a token is valid until its revocation, and tokens of other sessions stay valid`, async (t) => {
    const setting = await startVerifierSetup(t)
    const { service, signIn } = setting
    const [one, other] = [await signIn(), await signIn()]
    const verifier = await startVerifier(t, revocation(setting))

    const claims = await verifier.verify(one.access_token)
    t.match(claims, { iss: ISSUER, aud: ISSUER, sid: one.sid, client_id: 'latchkey', scope: '' })
    t.equal(await verdict(verifier, one.refresh_token), 'malformed')

    await service.api.logout(one.access_token)
    await eventually(async () => (await verdict(verifier, one.access_token)) === 'revoked')
    t.equal(await verdict(verifier, other.access_token), 'good')

    const refreshed = await service.api.refresh(other.refresh_token)
    t.equal(await verdict(verifier, refreshed.body.access_token), 'good')
    t.equal((await service.api.call('/logout-all', { method: 'POST', bearer: other.access_token })).status, 204)
    await eventually(async () => (await verdict(verifier, refreshed.body.access_token)) === 'revoked')
    t.equal(await verdict(verifier, other.access_token), 'revoked')
  })

  test(`${name}: a client's own tokens end at their revocation, and later tokens are valid`, async (t) => {
    const setting = await startVerifierSetup(t)
    const { api } = setting.service
    const verifier = await startVerifier(t, revocation(setting))
    const getToken = async () => {
      const answer = await api.call('/token', {
        form: { grant_type: 'client_credentials', client_id: CLIENT.id, client_secret: CLIENT.secret },
      })
      return answer.body.access_token as string
    }

    const token = await getToken()
    const { sub, sid } = await verifier.verify(token)
    t.strictSame([sub, sid], [CLIENT.id, undefined])
    t.equal((await api.call('/revoke', { form: { token } })).status, 200)
    await eventually(async () => (await verdict(verifier, token)) === 'revoked')

    // A revocation covers the tokens issued up to its second.
    await untilNextSecond()
    t.equal(await verdict(verifier, await getToken()), 'good')
  })
}

test('none: a token is valid until it expires, revoked or not', async (t) => {
  const { service, signIn } = await startVerifierSetup(t)
  const { access_token } = await signIn()
  const clock = bentClock()
  const verifier = await startVerifier(t, { mode: 'none' }, clock)

  await service.api.logout(access_token)
  const { exp, iat } = await verifier.verify(access_token)
  clock.pass((exp - iat) * 1000)
  t.equal(await verdict(verifier, access_token), 'expired')
})
