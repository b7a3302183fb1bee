import { test } from 'tap'
import { type Answer, basicAuthorization } from '../support/api.js'
import { claimsOf } from '../support/decode.js'
import { fitsHeader, refusedAnswers } from '../support/endpoints.js'
import { byCase, Forger, type HostileToken, hostileTokens } from '../support/hostile/tokens.js'
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
  const read = (bearer: string) =>
    Promise.all([api.call('/admin/users', { bearer }), api.call('/introspect', { form: { token: bearer }, bearer })])
  const change = (bearer: string) => api.call('/admin/clients', { method: 'POST', json: { id: 'smuggled' }, bearer })
  const good = [...(await read(forger.token())), await change(forger.token())]
  t.strictSame(
    good.map(({ status }) => status),
    [200, 200, 201],
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
    // All of /admin has one guard, so one token of each code tries to change something.
    const changing = new Set(new Map(presentable.map((hostile) => [hostile.code, hostile])).values())
    const present = async (hostile: HostileToken) => {
      const answers: Answer[] = await read(hostile.token)
      if (changing.has(hostile)) answers.push(await change(hostile.token))
      for (const { status, headers, text } of answers) {
        const seen = `${status} ${headers['www-authenticate']} ${text}`
        if (seen !== refusedAnswers['admin, as bearer']) wrong[hostile.what] = seen
      }
    }
    const atOnce = 8
    for (let i = 0; i < presentable.length; i += atOnce) {
      await Promise.all(presentable.slice(i, i + atOnce).map(present))
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
