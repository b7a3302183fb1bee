import { test } from 'tap'
import type { Api } from '../support/api.js'
import { enrolTotp, mfaToken, newPerson } from '../support/factors.js'
import { environmentOf, latchkey, operatorEnvironment, storeCombinations } from '../support/latchkey.js'
import { PASSWORD, startReady } from '../support/service.js'

const RENEWED = 'seven tame otters hum'

for (const setting of storeCombinations) {
  test(`${setting}: users reset-password and roles take effect in the running service at once`, async (t) => {
    const env = await environmentOf(t, setting)
    const { api } = await startReady(t, env)
    const { id } = (await api.signUp('ada', PASSWORD)).body
    const shell = operatorEnvironment(env)
    const before = await api.tokens('ada', PASSWORD)

    t.match(await latchkey(['users', 'reset-password', 'ADA', '--json'], shell, `${RENEWED}\n`), {
      code: 0,
      json: { id, username: 'ada' },
    })
    t.equal(await api.isActive(before.access_token), false)
    t.equal((await api.login('ada', PASSWORD)).status, 401)

    t.match(await latchkey(['users', 'roles', id, 'editor', 'chief', 'chief'], shell), {
      code: 0,
      stdout: `The account ada (${id}) has the roles editor chief.\n`,
    })
    const chief = await api.tokens('ada', RENEWED)
    t.match((await api.introspect(chief.access_token)).body, { roles: ['editor', 'chief'] })
    t.match(await latchkey(['users', 'roles', 'ada', 'editor', '--json'], shell), {
      code: 0,
      json: { roles: ['editor'] },
    })
    t.equal(await api.isActive(chief.access_token), false, 'a session with a role that is gone has ended')
    t.match(await latchkey(['users', 'roles', 'ada'], shell), { code: 0, stdout: /has no role\.\n$/ })
  })
}

for (const setting of storeCombinations) {
  test(`${setting}: users factors, reset-factors and mfa, and secrets reseal, on the running service`, async (t) => {
    const [old, renewed] = ['old-9fKq2Lx7Zr4Vb1Nc8Mw5Td3Hs6Gp0Yj', 'new-5Jt8Wc3Bx1Kz6Qv9Nr4Mf2Hd7Ls0Gp']
    const env = { ...(await environmentOf(t, setting)), DATA_SECRET: old }
    const before = await startReady(t, env)
    const { sub, tokens } = await newPerson(before.api, 'ada')
    const { app } = await enrolTotp(before.api, tokens.access_token)
    const shell = operatorEnvironment(env)

    t.match(await latchkey(['users', 'factors', 'ada', '--json'], shell), {
      code: 0,
      json: { factors: [{ type: 'totp', last_used_at: null }], recovery_codes_left: 10, mfa_required: false },
    })
    t.match((await latchkey(['users', 'factors', 'ada'], shell)).stdout, /totp .*never\n\nRecovery codes left: 10\n$/)

    // The three steps by which an operator replaces the secret.
    const between = await startReady(t, { ...env, DATA_SECRET: `${renewed},${old}` })
    const both = { ...shell, DATA_SECRET: `${renewed},${old}` }
    t.match(await latchkey(['secrets', 'reseal', '--json'], both), { code: 0, json: { resealed: 1 } })
    t.match(await latchkey(['secrets', 'reseal', '--json'], both), { code: 0, json: { resealed: 0 } })
    const mfa = (api: Api, totp: string) =>
      mfaToken(api, 'ada').then((token) => api.call('/login/mfa', { json: { mfa_token: token, totp } }))
    t.equal((await mfa(between.api, await app.next())).status, 200)
    const after = await startReady(t, { ...env, DATA_SECRET: renewed })
    t.equal((await mfa(after.api, await app.next())).status, 200)
    t.equal((await mfa(before.api, await app.code())).status, 503, 'the old secret alone opens nothing')
    const { DATA_SECRET: _, ...without } = shell
    t.match(await latchkey(['secrets', 'reseal'], without), { code: 1, stderr: /DATA_SECRET: is not set/ })

    t.match(await latchkey(['users', 'mfa', 'ada', 'on', '--json'], shell), { code: 0, json: { mfa_required: true } })
    t.match(await latchkey(['users', 'mfa', 'ada', 'yes'], shell), { code: 2, stderr: /write on or off/ })
    t.match(await latchkey(['users', 'reset-factors', sub], shell), { code: 0, stdout: /has no second factor now/ })
    t.notOk(await after.api.isActive(tokens.access_token))
    const noFactor = await after.api.login('ada', PASSWORD)
    t.equal(noFactor.status, 403)
    t.strictSame(noFactor.body.factors, [])
    t.match(await latchkey(['users', 'mfa', 'ada', 'off'], shell), { code: 0 })
    t.equal((await after.api.login('ada', PASSWORD)).status, 200)
    t.match((await latchkey(['users', 'factors', 'ada'], shell)).stdout, /has no second factor/)
  })
}

for (const setting of storeCombinations) {
  test(`${setting}: users show, rename and claims take effect in the running service at once`, async (t) => {
    const env = await environmentOf(t, setting)
    const { api } = await startReady(t, { ...env, ACCOUNT_CLAIMS: 'tenant' })
    const shell = operatorEnvironment(env)
    const made = await latchkey(
      ['users', 'create', 'ada', '--id', 'auth0|1', '--claims', '{"tenant":"acme"}'],
      shell,
      PASSWORD,
    )
    t.match(made, { code: 0, stdout: 'The account ada (auth0|1) is created.\n' })
    const tokens = await api.tokens('ada', PASSWORD)
    t.match((await api.introspect(tokens.access_token)).body, { sub: 'auth0|1', tenant: 'acme' })

    t.match(await latchkey(['users', 'rename', 'auth0|1', 'Lovelace'], shell), {
      code: 0,
      stdout: 'The account Lovelace (auth0|1) has its new name.\n',
    })
    t.match((await api.introspect(tokens.access_token)).body, { active: true, username: 'Lovelace' })
    t.match(await latchkey(['users', 'claims', 'lovelace', '{"tenant":"initech"}', '--json'], shell), {
      code: 0,
      json: { id: 'auth0|1', claims: { tenant: 'initech' } },
    })
    const { access_token } = (await api.refresh(tokens.refresh_token)).body
    t.match((await api.introspect(access_token)).body, { tenant: 'initech' })
    t.match(await latchkey(['users', 'show', 'LOVELACE'], shell), {
      code: 0,
      stdout: /claims {3}\{"tenant":"initech"\}\n$/,
    })
    t.match((await latchkey(['users', 'show', 'lovelace', '--json'], shell)).json, {
      username: 'Lovelace',
      id: 'auth0|1',
    })
  })
}

test('a command refuses a text that is the name of one account and the id of another', async (t) => {
  const env = operatorEnvironment(await environmentOf(t, 'sqlite'))
  await latchkey(['users', 'create', 'ada', '--id', 'eve'], env, PASSWORD)
  await latchkey(['users', 'create', 'eve', '--id', 'ada'], env, PASSWORD)
  t.match(await latchkey(['users', 'delete', 'ada'], env), { code: 1, stderr: /write id:USER or name:USER\n$/ })
  t.match((await latchkey(['users', 'show', 'id:ada', '--json'], env)).json, { id: 'ada', username: 'eve' })
  t.match((await latchkey(['users', 'show', 'name:ada', '--json'], env)).json, { id: 'eve', username: 'ada' })
  t.match(await latchkey(['users', 'show', 'name:nobody'], env), { code: 1, stderr: /there is no account/ })
})

test('users commands refuse invalid arguments', async (t) => {
  const env = operatorEnvironment(await environmentOf(t, 'sqlite'))
  t.equal((await latchkey(['users', 'create', 'ada', '--role', 'editor'], env, PASSWORD)).code, 0)
  for (const [args, stdin, said] of [
    [['create', 'ada'], PASSWORD, /there is an account with this user name/],
    [['create', 'eve', '--role', 'a,b'], PASSWORD, /a role has 1 to 64 characters/],
    [['roles', 'ada', 'a"b'], '', /a role has 1 to 64 characters/],
    [['roles', 'ada', 'ü'], '', /a role has 1 to 64 characters/],
    [['create', 'eve', '--id', 'a/b'], PASSWORD, /id must have 1 to 64 letters/],
    [['create', 'eve', '--claims', '{"sub":"x"}'], PASSWORD, /a claim name has/],
    [['claims', 'ada', 'tenant=acme'], '', /claims must be a JSON object/],
    [['rename', 'ada', 'a b'], '', /username may only have letters/],
    [['rename', 'nobody', 'bob'], '', /there is no account "nobody"/],
    [['roles', 'nobody', 'a'], '', /there is no account "nobody"/],
    [['reset-password', 'ada'], 'short', /too short/],
    [['reset-password', 'ada'], '', /the password is empty/],
    [['reset-password', 'nobody'], PASSWORD, /there is no account "nobody"/],
  ] as [string[], string, RegExp][]) {
    t.match(await latchkey(['users', ...args], env, stdin), { code: 1, stdout: '', stderr: said }, args.join(' '))
  }
  t.match((await latchkey(['users', 'list', '--json'], env)).json, { users: [{ username: 'ada', roles: ['editor'] }] })
})
