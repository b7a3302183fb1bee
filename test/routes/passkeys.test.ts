import { generateKeyPairSync } from 'node:crypto'
import { test } from 'tap'
import { type Api, basicAuthorization } from '../support/api.js'
import { expectEvents } from '../support/audit-events.js'
import { Authenticator, type Deviation } from '../support/authenticator.js'
import { claimsOf } from '../support/decode.js'
import { enrolPasskey, loginMfa, mfaToken, newPerson, passkeyOptions } from '../support/factors.js'
import { anyStore, PASSWORD, startService, stores } from '../support/service.js'

const ORIGIN = 'http://latchkey.test'

const idsOf = (credentials: { id: string }[]) => credentials.map(({ id }) => id)

async function signIn(api: Api, passkey: Authenticator, deviation: Deviation = {}) {
  return api.call('/login/passkey', { json: { passkey: passkey.get(await passkeyOptions(api), deviation) } })
}

for (const store of stores) {
  test(`${store}: a passkey signs in alone, as two factors, and as the second factor`, async (t) => {
    const service = await startService(t, store, { AUDIENCE: 'app,todo' })
    const { api } = service
    const { sub, tokens } = await newPerson(api, 'ada')
    const { passkey, answer } = await enrolPasskey(api, tokens.access_token)
    t.match(answer.body, { factor: { type: 'passkey', last_used_at: null }, recovery_codes: { length: 10 } })

    const options = await passkeyOptions(api)
    t.match(options, { rpId: 'latchkey.test', userVerification: 'required' })
    t.equal(options.allowCredentials, undefined, 'nobody learns whose passkeys exist')
    const json = { passkey: passkey.get(options), audience: 'todo', scope: 'todo:read', device_name: 'laptop' }
    const alone = await api.call('/login/passkey', { json })
    t.match(alone, { status: 200, headers: { 'cache-control': 'no-store' }, body: { scope: 'todo:read' } })
    const claims = claimsOf(alone.body.access_token)
    t.match(claims, { sub, aud: 'todo', acr: '2' })
    t.strictSame(claims.amr, ['hwk', 'mfa'])
    expectEvents(t, service.audited('login.accepted').slice(-1), [{ sub, amr: ['hwk', 'mfa'] }])

    const refused = await api.login('ada', PASSWORD)
    t.strictSame(refused.body.factors, ['passkey', 'recovery_code'])
    const second = await passkeyOptions(api, refused.body.mfa_token)
    t.equal(second.userVerification, 'preferred')
    t.strictSame(idsOf(second.allowCredentials), [passkey.id])
    const answered = { passkey: passkey.get(second, { isUserVerified: false }) }
    const both = await loginMfa(api, refused.body.mfa_token, answered)
    t.equal(both.status, 200, both.text)
    t.equal(claimsOf(both.body.access_token).acr, '2')
    t.strictSame(claimsOf(both.body.access_token).amr, ['pwd', 'hwk', 'mfa'])

    const stepped = await api.call('/login/passkey/options', { method: 'POST', bearer: both.body.access_token })
    t.strictSame(idsOf(stepped.body.allowCredentials), [passkey.id])
    const up = { bearer: both.body.access_token, json: { passkey: passkey.get(stepped.body) } }
    t.match((await api.call('/login/step-up', up)).body, { sid: both.body.sid })
  })

  test(`${store}: M6 a passkey is refused for a wrong origin, RP, challenge, counter, user, owner or key, and replayed`, async (t) => {
    const service = await startService(t, store)
    const { api } = service
    const ada = await newPerson(api, 'ada')
    const bob = await newPerson(api, 'bob')
    const { passkey } = await enrolPasskey(api, ada.tokens.access_token, new Authenticator(ORIGIN, { counter: true }))
    const { passkey: bobs } = await enrolPasskey(api, bob.tokens.access_token, new Authenticator(ORIGIN))
    t.equal((await signIn(api, passkey, { counter: 41 })).status, 200)

    const wrong: [string, Deviation][] = [
      ['origin', { origin: 'https://latchkey.test.evil.example' }],
      ['origin', { origin: `${ORIGIN}:8080` }],
      ['rp_id', { rpId: 'evil.example' }],
      ['challenge', { challenge: Buffer.from('lkt_forged').toString('base64url') }],
      ['malformed', { type: 'webauthn.create' }],
      ['user_not_verified', { isUserVerified: false, counter: 50 }],
      ['user_not_verified', { isUserPresent: false, counter: 50 }],
      ['counter', { counter: 41 }],
      ['counter', { counter: 12 }],
      ['counter', { counter: 0 }],
      ['unknown', { userHandle: Buffer.from(bob.sub).toString('base64url'), counter: 50 }],
      ['signature', { key: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey, counter: 50 }],
    ]
    for (const [reason, deviation] of wrong) {
      const { status, body } = await signIn(api, passkey, deviation)
      t.match({ status, body }, { status: 401, body: { error: 'invalid_grant' } }, JSON.stringify(deviation))
      t.equal(service.audited('factor.refused').at(-1)?.reason, reason, JSON.stringify(deviation))
    }
    const unknown = new Authenticator(ORIGIN)
    t.equal((await signIn(api, unknown)).status, 401, 'an unknown passkey')

    const options = await passkeyOptions(api)
    const json = { passkey: passkey.get(options, { counter: 60 }) }
    const answers = await Promise.all(Array.from({ length: 10 }, () => api.call('/login/passkey', { json })))
    t.equal(answers.filter(({ status }) => status === 200).length, 1, 'a response is good once')
    const again = { passkey: passkey.get(options, { counter: 61 }) }
    t.equal((await api.call('/login/passkey', { json: again })).status, 401, 'so is a challenge')

    // The challenges of one purpose or account are of no use for another.
    const token = await mfaToken(api, 'ada')
    const forAda = await passkeyOptions(api, token)
    t.equal((await loginMfa(api, token, { passkey: bobs.get(forAda) })).status, 401, 'the passkey of another account')
    const forBob = await passkeyOptions(api, await mfaToken(api, 'bob'))
    const crossed = { passkey: passkey.get(forBob, { counter: 70 }) }
    t.equal((await loginMfa(api, token, crossed)).status, 401, 'the challenge of another account')
    t.equal((await loginMfa(api, token, { passkey: passkey.get(forAda, { counter: 71 }) })).status, 200)

    for (const junk of [{}, { id: 'x' }, { response: {} }, { ...json.passkey, response: { clientDataJSON: '{}' } }]) {
      t.equal(
        (await api.call('/login/passkey', { json: { passkey: junk } })).status,
        401,
        JSON.stringify(junk).slice(0, 40),
      )
    }
    for (const passkey of [undefined, 'text', 7, null, []]) {
      t.equal((await api.call('/login/passkey', { json: { passkey } })).status, 400)
    }
    const disable = { method: 'POST', headers: basicAuthorization(api.client) }
    await api.call(`/admin/users/${bob.sub}/disable`, disable)
    t.equal((await signIn(api, bobs)).status, 401, 'a disabled account')
  })

  test(`${store}: a passkey is registered once, for its own account, with a fresh challenge, and removed`, async (t) => {
    const { api } = await startService(t, store)
    const ada = await newPerson(api, 'ada')
    const bob = await newPerson(api, 'bob')
    const optionsOf = async (bearer: string) =>
      (await api.call('/users/me/factors/passkeys/options', { method: 'POST', bearer })).body
    const add = (bearer: string, passkey: object) =>
      api.call('/users/me/factors/passkeys', { bearer, json: { passkey } })
    const passkey = new Authenticator()

    const options = await optionsOf(ada.tokens.access_token)
    t.match(options, { rp: { id: 'latchkey.test' }, attestation: 'none', user: { name: 'ada' } })
    t.equal(Buffer.from(options.user.id, 'base64url').toString(), ada.sub)
    for (const deviation of [{ origin: 'https://evil.example' }, { rpId: 'evil.example' }, { challenge: 'AAAA' }]) {
      t.equal((await add(ada.tokens.access_token, passkey.create(options, deviation))).status, 400)
    }
    t.equal(
      (await add(bob.tokens.access_token, passkey.create(options))).status,
      400,
      'the challenge of another account',
    )
    const response = passkey.create(options)
    const synced = new Authenticator(ORIGIN, { isSynced: true })
    t.equal((await add(ada.tokens.access_token, response)).status, 200)
    t.equal((await add(ada.tokens.access_token, response)).status, 400, 'replayed')
    const taken = await add(bob.tokens.access_token, passkey.create(await optionsOf(bob.tokens.access_token)))
    t.match(taken, { status: 409, body: { error: 'passkey_taken' } })
    const more = await optionsOf(ada.tokens.access_token)
    t.strictSame(idsOf(more.excludeCredentials), [passkey.id])
    const second = await add(ada.tokens.access_token, synced.create(more))
    t.equal(second.body.recovery_codes, undefined)
    t.strictSame(claimsOf((await signIn(api, synced)).body.access_token).amr, ['swk', 'mfa'])

    const path = `/users/me/factors/${second.body.factor.id}`
    t.equal((await api.call(path, { method: 'DELETE', bearer: bob.tokens.access_token })).status, 404)
    t.equal((await api.call(path, { method: 'DELETE', bearer: ada.tokens.access_token })).status, 204)
    t.equal((await signIn(api, synced)).status, 401, 'removed')
    const userHandle = Buffer.from(ada.sub).toString('base64url')
    t.equal((await signIn(api, passkey, { userHandle })).status, 200)
  })
}

for (const store of anyStore) {
  test(`${store}: pages on every origin of WEBAUTHN_ORIGINS use passkeys of WEBAUTHN_RP_ID`, async (t) => {
    const { api } = await startService(t, store, {
      WEBAUTHN_RP_ID: 'example.com',
      WEBAUTHN_ORIGINS: 'https://app.example.com,https://example.com',
      MFA: 'required',
    })
    await api.signUp('ada', PASSWORD)
    const passkey = new Authenticator('https://app.example.com')
    const { answer } = await enrolPasskey(api, await mfaToken(api, 'ada'), passkey)
    const claims = claimsOf(answer.body.tokens.access_token)
    t.equal(claims.acr, '2')
    t.strictSame(claims.amr, ['pwd', 'hwk', 'mfa'])
    t.equal((await signIn(api, passkey)).status, 200)
    t.equal((await signIn(api, passkey, { origin: 'https://example.com' })).status, 200)
    t.equal((await signIn(api, passkey, { origin: 'http://latchkey.test' })).status, 401)
  })
}
