import { createHmac, randomBytes, randomUUID } from 'node:crypto'
import { sharedSecretKey } from '@latchkey/verifier/access-token'
import { type Test, test } from 'tap'
import { type Answer, type Api, basicAuthorization } from '../support/api.js'
import { secondsNow } from '../support/assertions.js'
import { createClient } from '../support/clients.js'
import { claimsOf } from '../support/decode.js'
import { presentAtEveryEndpoint, refusedAnswers } from '../support/endpoints.js'
import { keyFileSettings, makeKey, type PrivateKey, writeKeyFile } from '../support/keys.js'
import { JWT_SECRET, PASSWORD, startService, startServiceWith, stores } from '../support/service.js'

// The attacker runs a service that verifies tokens. It knows JWT_SECRET, the id of every client, and the tokens of its
// callers.

const ISSUER = 'http://latchkey.test'
const AUDIENCES = { AUDIENCE: 'web,todo,bills' }
const base64url = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url')

/** A token signed with the shared secret. */
function forge(claims: object, secret: string | Buffer = JWT_SECRET, kid = sharedSecretKey(JWT_SECRET).kid): string {
  const input = `${base64url({ alg: 'HS256', typ: 'at+jwt', kid })}.${base64url(claims)}`
  return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`
}

function clientClaims(id: string, scope: string, aud = ISSUER): Record<string, unknown> {
  const iat = secondsNow()
  const jti = randomBytes(16).toString('base64url')
  return { iss: ISSUER, sub: id, aud, exp: iat + 900, iat, jti, client_id: id, scope }
}

/** Values of `jti` that a forger can build from a token of the service, for other claims. */
function guesses(claims: object, genuine: string): Record<string, string> {
  const nonce = genuine.slice(0, 8)
  const mac = (secret: string, prefix: string) =>
    nonce +
    createHmac('sha256', secret)
      .update(prefix + JSON.stringify({ ...claims, jti: nonce }))
      .digest()
      .toString('base64url', 0, 10)
  return {
    'that of a genuine token': genuine,
    'one of the right form': randomBytes(16).toString('base64url'),
    'a MAC under JWT_SECRET': mac(JWT_SECRET, 'latchkey access token\0'),
    'a MAC under nothing': mac('', 'latchkey access token\0'),
    'its random part alone': nonce,
    'a longer one': `${genuine}AAAA`,
    'a UUID': randomUUID(),
    zeros: 'A'.repeat(22),
  }
}

const isRefused = ({ status, body }: Answer) =>
  status === 401 && ['invalid_client', 'invalid_token'].includes(body?.error)

for (const store of stores) {
  test(`W12: ${store}: a caller that knows JWT_SECRET cannot forge a client's token`, async (t) => {
    const { api, env } = await startService(t, store, AUDIENCES)
    const victim = (await api.signUp('ada', PASSWORD)).body
    const backend = await createClient(env, 'backend', { scopes: ['todo:read'] })
    const form = { grant_type: 'client_credentials' }
    const { access_token: genuine } = (await api.call('/token', { form, headers: basicAuthorization(backend) })).body
    const { jti } = claimsOf(genuine)

    for (const scope of ['admin', 'introspect', 'admin introspect', 'todo:read']) {
      for (const aud of [ISSUER, 'web', 'todo']) {
        for (const id of [api.client.id, 'backend']) {
          const claims = clientClaims(id, scope, aud)
          const forged = forge({ ...claims, jti: guesses(claims, jti)['a MAC under JWT_SECRET'] })
          const what = `${id} with ${scope} for ${aud}`
          for (const answer of [
            await api.call('/admin/users', { bearer: forged }),
            await api.call('/admin/clients', { json: { id: 'mine', scopes: 'admin' }, bearer: forged }),
            await api.call(`/admin/users/${victim.id}/password`, {
              json: { password: 'seven tame otters' },
              bearer: forged,
            }),
            await api.call('/introspect', { form: { token: genuine }, bearer: forged }),
            await api.call('/verify', { bearer: forged }),
          ]) {
            t.ok(isRefused(answer), `${what}: ${answer.status} ${answer.text}`)
          }
          t.equal((await api.introspect(forged)).text, '{"active":false}', what)
          // Ending the client's own token would be an attack too.
          await api.call('/revoke', { form: { token: forged } })
          await api.logout(forged)
        }
      }
    }
    t.equal(await api.isActive(genuine), true, "nothing of the client's own has ended")
    t.equal((await api.login('ada', PASSWORD)).status, 200, 'the password is what it was')
    const { clients } = (await api.call('/admin/clients', { headers: basicAuthorization(api.client) })).body
    t.strictSame(clients.map((client: { id: string }) => client.id).sort(), ['backend', api.client.id].sort())
  })

  test(`W12: ${store}: a person's token that was changed into another gives no access, and ends nothing`, async (t) => {
    const { api } = await startService(t, store, AUDIENCES)
    await api.signUp('ada', PASSWORD)
    const handed = await api.tokens('ada', PASSWORD, { audience: 'todo', scope: 'todo:read' })
    const other = await api.tokens('ada', PASSWORD)
    const claims = claimsOf(handed.access_token)
    const { jti: _, ...without } = claims
    const changes: Record<string, object> = {
      'for the service itself': { aud: ISSUER },
      'for the default audience': { aud: 'web' },
      'for another service': { aud: 'bills' },
      'with a role': { roles: ['admin'] },
      'with more scope': { scope: 'todo:read todo:write admin introspect' },
      'of a client': { client_id: api.client.id },
      'with a life of a day': { exp: claims.iat + 86_400 },
      'issued later': { iat: claims.iat + 1 },
      'of another session of hers': { sid: other.sid },
      'with an actor': { act: { sub: 'admin' } },
      'with a key': { cnf: { jkt: 'x' } },
      'with another factor': { acr: '2', amr: ['mfa'] },
    }
    for (const [what, change] of Object.entries(changes)) {
      const changed = { ...claims, ...change }
      for (const [how, jti] of Object.entries(guesses(changed, claims.jti))) {
        const forged = forge({ ...changed, jti })
        // Tries every forged jti with one set of claims, and the two most telling ones with the others.
        if (how === 'that of a genuine token')
          t.strictSame(await presentAtEveryEndpoint(api, forged), refusedAnswers, what)
        t.equal((await api.introspect(forged)).text, '{"active":false}', `${what}, jti: ${how}`)
        t.equal((await api.call('/verify?role=admin', { bearer: forged })).status, 401)
        // Other tests define the answers of these routes. Here they must end nothing.
        await api.logout(forged)
        await api.call('/revoke', { form: { token: forged } })
      }
    }
    const odd: Record<string, object> = {
      'the members in another order': Object.fromEntries(Object.entries(claims).reverse()),
      'no jti': without,
      'the jti of another token': { ...claims, jti: claimsOf(other.access_token).jti },
    }
    for (const [what, changed] of Object.entries(odd)) {
      t.strictSame(await presentAtEveryEndpoint(api, forge(changed)), refusedAnswers, what)
      await api.logout(forge(changed))
    }
    // Repeats the requests, because a refused token must never be cached as valid.
    const again = forge({ ...claims, roles: ['admin'] })
    for (let i = 0; i < 5; i += 1) t.equal((await api.call('/verify', { bearer: again })).status, 401)

    t.strictSame([await api.isActive(handed.access_token), await api.isActive(other.access_token)], [true, true])
    t.equal(
      forge(claims),
      handed.access_token,
      'what it was handed it can replay: there is no other token to make of it',
    )
  })
}

const status = async (answer: Promise<Answer>) => (await answer).status

/** Calls every route that a client's own token can call. */
async function ownToken(t: Test, api: Api): Promise<string> {
  const form = { grant_type: 'client_credentials', scope: 'admin introspect', audience: ISSUER }
  const { status, body } = await api.call('/token', { form, headers: basicAuthorization(api.client) })
  t.equal(status, 200)
  return body.access_token
}

test('W12: a bearer token can call /admin and /introspect only if no verifier has its key', async (t) => {
  const opens = async (keys: PrivateKey[] | undefined) => {
    const { api } = await startService(t, 'sqlite', keys && keyFileSettings(writeKeyFile(t, ...keys)))
    const bearer = await ownToken(t, api)
    t.equal(await api.isActive(bearer), true, 'the token itself lives')
    const answers = [
      await api.call('/admin/users', { bearer }),
      await api.call('/introspect', { form: { token: bearer }, bearer }),
    ]
    for (const answer of answers.filter(({ status }) => status !== 200)) {
      t.match(answer, { status: 401, body: { error: 'invalid_client', error_description: /HTTP Basic/ } })
      t.match(answer.headers['www-authenticate'], /^Basic /)
    }
    t.equal((await api.introspect(bearer)).status, 200, 'credentials open it, whatever the key')
    return answers.map(({ status }) => status)
  }
  const [secret, es, rs, ed] = await Promise.all((['HS256', 'ES256', 'RS256', 'EdDSA'] as const).map(makeKey))
  if (!secret || !es || !rs || !ed) throw new Error('a key is missing')

  t.strictSame(await opens(undefined), [401, 401], 'JWT_SECRET')
  for (const key of [es, rs, ed]) t.strictSame(await opens([key]), [200, 200], key.alg)
  t.strictSame(await opens([es, secret]), [200, 200], 'beside a shared key')
  t.strictSame(await opens([secret, es]), [401, 401], 'the key of this token counts, not that of another')
})

test('W12: with shared and private keys in one file, a caller with the shared key forges nothing under either', async (t) => {
  const [es, secret] = [await makeKey('ES256'), await makeKey('HS256')]
  const { api } = await startService(t, 'sqlite', keyFileSettings(writeKeyFile(t, es, secret)))
  const own = await ownToken(t, api)
  const shared = Buffer.from(secret.k as string, 'base64url')
  // The claims and the `jti` are genuine: the token was stolen and signed with the shared key. So it is the same token.
  const resigned = forge(claimsOf(own), shared, secret.kid)
  t.equal(await status(api.call('/admin/users', { bearer: resigned })), 401)
  t.equal(await status(api.call('/introspect', { form: { token: own }, bearer: resigned })), 401)
  const forged = forge(clientClaims(api.client.id, 'admin'), shared, secret.kid)
  t.strictSame(await presentAtEveryEndpoint(api, forged), refusedAnswers)
  const underTheOther = forge(clientClaims(api.client.id, 'admin'), shared, es.kid)
  t.strictSame(await presentAtEveryEndpoint(api, underTheOther), refusedAnswers)
  t.equal(await status(api.call('/admin/users', { bearer: own })), 200)
})

test('every replica recognises a token of this service, and a replica with another REFRESH_SECRET does not', async (t) => {
  const { api, env } = await startService(t, 'sqlite')
  await api.signUp('ada', PASSWORD)
  const { access_token: token } = await api.tokens('ada', PASSWORD)
  const replica = await startServiceWith(t, env)
  t.equal(await replica.api.isActive(token), true)
  const next = 'mac-0Lx7Zr4Vb1Nc8Mw5Td3Hs6Gp0YjWq9'
  const rotating = await startServiceWith(t, { ...env, REFRESH_SECRET: `${next},${env.REFRESH_SECRET}` })
  t.equal(await rotating.api.isActive(token), true, 'the secret before still verifies')
  const young = await rotating.api.tokens('ada', PASSWORD)
  t.equal(await replica.api.isActive(young.access_token), false)
  const rotated = await startServiceWith(t, { ...env, REFRESH_SECRET: next })
  t.equal(await rotated.api.isActive(young.access_token), true)
  t.equal(await rotated.api.isActive(token), false)
})
