import { test } from 'tap'
import { basicAuthorization } from '../support/clients.js'
import { claimsOf } from '../support/decode.js'
import { fitsHeader, refusedAnswers } from '../support/endpoints.js'
import { byCase, Forger, hostileTokens } from '../support/hostile/tokens.js'
import { keyFileSettings, makeKey, writeKeyFile } from '../support/keys.js'
import { JWT_SECRET, startService } from '../support/service.js'

/** The defect that is none here, so the test leaves it out: a client's own token belongs to no session. */
const OWN = 'no sid'

test('J1–J35: a client’s own token with one defect cannot call /admin or /introspect', async (t) => {
  // A private key signs. With a shared secret these routes refuse every client's token, and the test would show nothing.
  const key = await makeKey('EdDSA')
  const { api, log } = await startService(t, 'sqlite', { LOG_LEVEL: 'warn', ...keyFileSettings(writeKeyFile(t, key)) })
  const form = { grant_type: 'client_credentials', scope: 'admin introspect' }
  const { access_token } = (await api.call('/token', { form, headers: basicAuthorization(api.client) })).body
  const forger = new Forger(JWT_SECRET, claimsOf(access_token), 'http://127.0.0.1:9', key)
  const doors = (bearer: string) =>
    Promise.all([
      api.call('/admin/users', { bearer }),
      api.call('/admin/clients', { method: 'POST', json: { id: 'smuggled' }, bearer }),
      api.call('/introspect', { form: { token: bearer }, bearer }),
    ])
  const good = await doors(forger.token())
  t.strictSame(
    good.map(({ status }) => status),
    [200, 201, 200],
    'with no defect it does',
  )
  await api.call('/admin/clients/smuggled', { method: 'DELETE', bearer: forger.token() })

  for (const [id, tokens] of byCase(hostileTokens(forger))) {
    const wrong: Record<string, string> = {}
    const presentable = tokens.filter(
      // Defects of an HS256 header are right here: an EdDSA signature is always the same.
      ({ token, what }) =>
        what !== OWN && token !== forger.token() && token.length < 7800 && token !== '' && fitsHeader(token),
    )
    for (const { token, what } of presentable) {
      for (const { status, headers, text } of await doors(token)) {
        const seen = `${status} ${headers['www-authenticate']} ${text}`
        if (seen !== refusedAnswers['admin, as bearer']) wrong[what] = seen
      }
    }
    t.strictSame(wrong, {}, `${id}: each of ${presentable.length}`)
  }

  const { clients } = (await api.call('/admin/clients', { bearer: forger.token() })).body
  t.strictSame(
    clients.map((client: { id: string }) => client.id),
    [api.client.id],
  )
  t.strictSame(
    log.filter(({ level }) => (level as number) >= 50),
    [],
  )
})
