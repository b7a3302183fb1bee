import { createHmac, hkdfSync } from 'node:crypto'
import { createVerifier } from '@latchkey/verifier'
import { jwkThumbprint } from '@latchkey/verifier/jwk'
import { type Test, test } from 'tap'
import { basicAuthorization } from '../support/api.js'
import { createClient } from '../support/clients.js'
import { claimsOf, decodeHeader } from '../support/decode.js'
import { presentAtEveryEndpoint, refusedAnswers } from '../support/endpoints.js'
import { exchange } from '../support/exchange.js'
import { base64url } from '../support/hostile/forger.js'
import { keyFileSettings, makeKey, writeKeyFile } from '../support/keys.js'
import { latchkey } from '../support/latchkey.js'
import { type Environment, JWT_SECRET, PASSWORD, startService, startServiceWith, stores } from '../support/service.js'
import { withGenuineJti } from '../support/stamped.js'
import { verdict } from '../support/verifier-setup.js'

const ISSUER = 'http://latchkey.test'
const SETTINGS = { AUDIENCE: 'web,todo,bills', JWT_SECRET_MODE: 'audience' }

/** As the documentation has it. */
const keyOf = (audience: string, secret = JWT_SECRET) =>
  Buffer.from(hkdfSync('sha256', secret, '', `latchkey access token\0${audience}`, 32))

const thumbprintOf = (key: Buffer) => jwkThumbprint({ kty: 'oct', k: key.toString('base64url') })

function sign(claims: object | string, key: Buffer, kid = thumbprintOf(key)): string {
  const input = `${base64url({ alg: 'HS256', typ: 'at+jwt', kid })}.${base64url(claims)}`
  return `${input}.${createHmac('sha256', key).update(input).digest('base64url')}`
}

async function printedSecrets(env: Environment, audience: string): Promise<string[]> {
  const { code, stdout, stderr } = await latchkey(['keys', 'secret', '--audience', audience], env)
  if (code !== 0) throw new Error(stderr)
  return stdout.trim().split('\n')
}

function verifierWith(t: Test, audience: string, ...secrets: string[]) {
  const verifier = createVerifier({ issuer: ISSUER, audience, keys: { secrets }, revocation: { mode: 'none' } })
  t.teardown(() => verifier.close())
  return verifier
}

test('JWT_SECRET_MODE=audience: each audience has a key of its own, which latchkey keys secret prints', async (t) => {
  const { api, env } = await startService(t, 'sqlite', SETTINGS)
  await api.signUp('ada', PASSWORD)
  const shell = { JWT_SECRET, AUDIENCE: SETTINGS.AUDIENCE, ISSUER }
  const gateway = await createClient(env, 'gateway', { exchangeAudiences: ['todo'] })
  const byAudience: Record<string, string> = {
    bills: (await api.tokens('ada', PASSWORD, { audience: 'bills' })).access_token,
    [ISSUER]: (await api.tokens('ada', PASSWORD, { audience: ISSUER })).access_token,
    web: (await api.tokens('ada', PASSWORD)).access_token,
  }
  byAudience.todo = (await exchange(api, gateway, byAudience.web as string, { audience: 'todo' })).body.access_token

  for (const [audience, token] of Object.entries(byAudience)) {
    const key = keyOf(audience)
    t.equal(decodeHeader(token).kid, thumbprintOf(key), `${audience}: kid is the thumbprint of the key`)
    t.equal(sign(claimsOf(token), key), token, 'and this key has signed')
    t.equal(await api.isActive(token), true)
    const [secret = '', ...others] = await printedSecrets(shell, audience)
    t.strictSame([secret, others], [key.toString('base64url'), []])
    t.equal(await verdict(verifierWith(t, audience, secret), token), 'good', 'the verifier takes what is printed')
    t.equal(
      await verdict(verifierWith(t, audience, JWT_SECRET), token),
      'unknown_key',
      'and the shared secret verifies nothing',
    )
  }
  const { json } = await latchkey(['keys', 'secret', '--audience', 'todo', '--json'], shell)
  t.strictSame(json, {
    audience: 'todo',
    keys: [{ kid: thumbprintOf(keyOf('todo')), secret: keyOf('todo').toString('base64url') }],
  })
  t.strictSame((await api.call('/.well-known/jwks.json')).body, { keys: [] }, 'nothing of it is published')
})

for (const store of stores) {
  test(`W12: ${store}: with the key of one audience nobody can forge a token for another, or use an endpoint of the service`, async (t) => {
    const { api } = await startService(t, store, SETTINGS)
    await api.signUp('ada', PASSWORD)
    const handed = await api.tokens('ada', PASSWORD, { audience: 'todo' })
    const other = await api.tokens('ada', PASSWORD)
    const claims = claimsOf(handed.access_token)
    const iat = claims.iat
    const client = {
      iss: ISSUER,
      sub: api.client.id,
      aud: ISSUER,
      exp: iat + 900,
      iat,
      jti: claims.jti,
      client_id: api.client.id,
    }
    const forgeries: Record<string, object> = {
      'for itself, with a role': { ...claims, roles: ['admin'] },
      'for itself, with an actor': { ...claims, act: { sub: 'gateway' } },
      'for itself, with a key': { ...claims, cnf: { jkt: 'x' } },
      'for another audience': { ...claims, aud: 'bills' },
      'for the service': { ...claims, aud: ISSUER },
      'of another session': { ...claims, aud: 'web', sid: other.sid },
      "a client's, with admin": { ...client, scope: 'admin introspect' },
    }
    for (const [what, forged] of Object.entries(forgeries)) {
      for (const kid of [thumbprintOf(keyOf('todo')), thumbprintOf(keyOf('bills'))]) {
        const token = sign(forged, keyOf('todo'), kid)
        t.strictSame(await presentAtEveryEndpoint(api, token), refusedAnswers, what)
        await api.logout(token)
        await api.call('/revoke', { form: { token } })
      }
    }
    // Even with the MAC of the service in `jti`, which nobody outside can make, the key of `todo` is for `todo` alone.
    const stampedForBills = withGenuineJti(JSON.stringify({ ...claims, aud: 'bills' }))
    t.equal(await api.isActive(sign(stampedForBills, keyOf('bills'))), true, 'the service takes the right key')
    t.strictSame(await presentAtEveryEndpoint(api, sign(stampedForBills, keyOf('todo'))), refusedAnswers)
    const bills = verifierWith(t, 'bills', keyOf('bills').toString('base64url'))
    t.equal(await verdict(bills, sign({ ...claims, aud: 'bills' }, keyOf('todo'))), 'unknown_key')
    t.equal(
      await verdict(bills, sign({ ...claims, aud: 'bills' }, keyOf('todo'), thumbprintOf(keyOf('bills')))),
      'bad_signature',
    )
    t.strictSame([await api.isActive(handed.access_token), await api.isActive(other.access_token)], [true, true])
  })
}

test('W12: JWT_SECRET_MODE=audience: /admin and /introspect take credentials alone, as with every shared key', async (t) => {
  const { api } = await startService(t, 'sqlite', SETTINGS)
  const form = { grant_type: 'client_credentials', scope: 'admin introspect', audience: ISSUER }
  const bearer = (await api.call('/token', { form, headers: basicAuthorization(api.client) })).body.access_token
  t.equal(await api.isActive(bearer), true)
  t.match(await api.call('/admin/users', { bearer }), { status: 401, body: { error: 'invalid_client' } })
  t.match(await api.call('/introspect', { form: { token: bearer }, bearer }), { status: 401 })
})

test('JWT_SECRET_MODE=audience: of several secrets the first signs and all verify, from the environment and from a file', async (t) => {
  const next = 'jwt-4Vb1Nc8Mw5Td3Hs6Gp0Yj9fKq2Lx7Zr'
  const { api, env } = await startService(t, 'sqlite', SETTINGS)
  await api.signUp('ada', PASSWORD)
  const old = (await api.tokens('ada', PASSWORD, { audience: 'todo' })).access_token
  const both = await startServiceWith(t, { ...env, JWT_SECRET: `${next},${JWT_SECRET}` })
  const young = (await both.api.tokens('ada', PASSWORD, { audience: 'todo' })).access_token
  t.equal(decodeHeader(young).kid, thumbprintOf(keyOf('todo', next)))
  t.strictSame([await both.api.isActive(old), await both.api.isActive(young)], [true, true])
  t.strictSame([await api.isActive(old), await api.isActive(young)], [true, false])
  const secrets = await printedSecrets({ JWT_SECRET: `${next},${JWT_SECRET}` }, 'todo')
  const verifier = verifierWith(t, 'todo', ...secrets)
  t.strictSame([await verdict(verifier, old), await verdict(verifier, young)], ['good', 'good'])

  const { JWT_SECRET: _, ...without } = env
  const [oct, ec] = [await makeKey('HS256'), await makeKey('ES256')]
  const path = writeKeyFile(t, oct, ec)
  const file = await startServiceWith(t, { ...without, ...keyFileSettings(path) })
  const signed = (await file.api.tokens('ada', PASSWORD, { audience: 'todo' })).access_token
  const key = Buffer.from(
    hkdfSync('sha256', Buffer.from(oct.k as string, 'base64url'), '', 'latchkey access token\0todo', 32),
  )
  t.equal(decodeHeader(signed).kid, thumbprintOf(key))
  t.equal(await file.api.isActive(signed), true)
  t.strictSame(await printedSecrets({ JWT_KEYS_FILE: path }, 'todo'), [key.toString('base64url')])
  const asymmetric = await startServiceWith(t, { ...without, ...keyFileSettings(writeKeyFile(t, ec, oct)) })
  const byKey = (await asymmetric.api.tokens('ada', PASSWORD, { audience: 'todo' })).access_token
  t.match(decodeHeader(byKey), { alg: 'ES256', kid: ec.kid }, 'a private key signs for every audience')
  t.equal(await asymmetric.api.isActive(byKey), true)
  t.equal(await asymmetric.api.isActive(signed), true)
})

test('a session whose audience was removed goes on to get tokens of that audience, under its own key', async (t) => {
  const { api, env } = await startService(t, 'sqlite', SETTINGS)
  await api.signUp('ada', PASSWORD)
  const { refresh_token } = await api.tokens('ada', PASSWORD, { audience: 'bills' })
  const fewer = await startServiceWith(t, { ...env, AUDIENCE: 'web' })
  const { body } = await fewer.api.refresh(refresh_token)
  t.equal(decodeHeader(body.access_token).kid, thumbprintOf(keyOf('bills')))
  t.equal(await fewer.api.isActive(body.access_token), false)
})

test('keys secret says what is missing', async (t) => {
  for (const [args, env, said] of [
    [[], { JWT_SECRET }, /--audience/],
    [['--audience', 'todo'], {}, /no shared secret: set JWT_SECRET/],
    [['--audience', 'toodo'], { JWT_SECRET, AUDIENCE: 'web,todo' }, /AUDIENCE does not list toodo/],
    [['--audience', 'todo'], { JWT_SECRET: 'short' }, /shorter than 32 bytes/],
    [['--audience', 'todo', '--file', writeKeyFile(t, await makeKey('ES256'))], {}, /no shared secret/],
  ] as [string[], Environment, RegExp][]) {
    const ran = await latchkey(['keys', 'secret', ...args], env)
    t.match(ran, { code: 1, stdout: '', stderr: said }, JSON.stringify([args, env.AUDIENCE]))
  }
})

test('in production a shared secret with several audiences is a warning at the start', async (t) => {
  const warned = async (overrides: Environment) => {
    const { log } = await startService(t, 'sqlite', { NODE_ENV: 'production', ...overrides })
    return log.filter(({ level, msg }) => level === 40 && /JWT_SECRET_MODE=audience/.test(String(msg))).length
  }
  const key = keyFileSettings(writeKeyFile(t, await makeKey('ES256')))
  t.equal(await warned({ AUDIENCE: 'web,todo' }), 1)
  t.equal(await warned({ AUDIENCE: 'todo' }), 0, 'with one audience')
  t.equal(await warned({ AUDIENCE: 'web,todo', JWT_SECRET_MODE: 'audience' }), 0, 'with a key for each')
  t.equal(await warned({ AUDIENCE: 'web,todo', ...key }), 0, 'with a private key')
  t.equal(await warned({ AUDIENCE: 'web,todo', NODE_ENV: 'test' }), 0, 'outside production')
})
