import { createServer } from 'node:http'
import { type Test, test } from 'tap'
import { basicAuthorization } from '../support/api.js'
import { asserted, makeKeyClient, secondsNow } from '../support/assertions.js'
import { fitsHeader, refusedAnswers } from '../support/endpoints.js'
import type { SessionClaims } from '../support/hostile/forger.js'
import { byCase, Forger, type HostileToken, hostileTokens } from '../support/hostile/tokens.js'
import { jwkSet, makeKey, publicJwk } from '../support/keys.js'
import { CLIENT, ISSUER, JWT_SECRET, type RunningService, startService } from '../support/service.js'

const SUBJECT = 'system:serviceaccount:shop:billing'
/** The body limit is 16 KiB. */
const MAX_LENGTH = 15_000

test('J1–J35, W5: an assertion of a client’s own with one defect authenticates nobody', async (t) => {
  const service = await startService(t, 'sqlite', { LOG_LEVEL: 'warn' })
  const { forger, hits } = await makeForger(t, service, 'billing', 'billing')
  await refusesAll(t, service, forger, hits)
  // Had a defect passed, the assertion would be refused for its jti alone. The genuine one was presented twice.
  t.equal(service.audited('client.refused').filter(({ reason }) => reason === 'replayed').length, 1)
})

test('J1–J35, W5: a token of a trusted issuer with one defect authenticates nobody', async (t) => {
  const service = await startService(t, 'sqlite', { LOG_LEVEL: 'warn' })
  const { forger, hits } = await makeForger(t, service, 'https://cluster.test', SUBJECT)
  await refusesAll(t, service, forger, hits)
})

/** A forger of tokens that are good for the client `billing`, whose key may sign for this issuer and subject. */
async function makeForger(t: Test, { api, env }: RunningService, iss: string, sub: string) {
  const canary = createServer((_request, response) => {
    hits += 1
    response.end('{}')
  })
  let hits = 0
  await new Promise<void>((resolve) => canary.listen(0, '127.0.0.1', resolve))
  t.teardown(() => void canary.close())
  const key = await makeKey('EdDSA')
  const jwks = JSON.parse(jwkSet(publicJwk(key)))
  if (iss === sub) {
    await makeKeyClient(env, 'billing', { jwks }, ['introspect', 'admin'])
  } else {
    await api.call('/admin/issuers', {
      json: { name: 'cluster', issuer: iss, jwks },
      headers: basicAuthorization(CLIENT),
    })
    await makeKeyClient(env, 'billing', { binding: { issuer: 'cluster', subject: sub } }, ['introspect', 'admin'])
  }
  const now = secondsNow()
  const claims = { iss, sub, aud: ISSUER, exp: now + 290, iat: now, jti: 'j' } as unknown as SessionClaims
  const address = `http://127.0.0.1:${(canary.address() as { port: number }).port}`
  return { forger: new Forger(JWT_SECRET, claims, address, key, 'JWT'), hits: () => hits }
}

async function refusesAll(t: Test, service: RunningService, forger: Forger, hits: () => number): Promise<void> {
  const { api } = service
  const post = (token: string) => api.call('/token', { form: { grant_type: 'client_credentials', ...asserted(token) } })
  const genuine = await post(forger.token())
  t.equal(genuine.status, 200, `with no defect it does: ${genuine.text}`)
  await api.call('/admin/clients', { bearer: forger.token() })

  for (const [id, tokens] of byCase(hostileTokens(forger))) {
    const wrong: Record<string, string> = {}
    const presentable = tokens.filter((each) => each.token.length < MAX_LENGTH && isHostile(each, forger))
    const judge = async ({ token, what }: HostileToken) => {
      const answers = [
        ...(token === '' ? [] : [await post(token)]),
        ...(token.length < 7800 && token !== '' && fitsHeader(token)
          ? [await api.call('/admin/clients', { bearer: token })]
          : []),
      ]
      for (const { status, headers, text } of answers) {
        const seen = `${status} ${headers['www-authenticate']} ${text}`
        // A form cannot carry half a surrogate pair, and no such text is a token.
        if (seen !== refusedAnswers['admin, as bearer'] && status !== 400) wrong[what] = `${seen} ${token}`
      }
    }
    for (let i = 0; i < presentable.length; i += 16) await Promise.all(presentable.slice(i, i + 16).map(judge))
    t.strictSame(wrong, {}, `${id}: each of ${presentable.length}`)
  }
  t.equal(hits(), 0, 'nobody called the address that the tokens name')
  t.strictSame(
    service.log.filter(({ level }) => (level as number) >= 50),
    [],
  )
}

/**
 * What is wrong with an access token and right with an assertion: RFC 7523 asks for no `typ`, no `kid` and no `iat`, and has no
 * claims of access tokens.
 */
const HARMLESS = /^no (typ|kid|iat)$|^(no )?(sid|client_id|scope|roles)\b/
/** Kubernetes and SPIRE write `aud` as a list, and a JWT-SVID needs no `jti`. */
const HARMLESS_OF_ISSUERS = [`aud is ["${ISSUER}"]`, 'no jti']

function isHostile({ token, what }: HostileToken, forger: Forger): boolean {
  const isOfIssuer = forger.claims.iss !== forger.claims.sub
  return token !== forger.token() && !HARMLESS.test(what) && !(isOfIssuer && HARMLESS_OF_ISSUERS.includes(what))
}
