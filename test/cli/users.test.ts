import { test } from 'tap'
import { environmentOf, latchkey, operatorEnvironment, storeCombinations } from '../support/latchkey.js'
import { PASSWORD, startServiceWith } from '../support/service.js'

const RENEWED = 'seven tame otters hum'

for (const setting of storeCombinations) {
  test(`${setting}: users reset-password and roles take effect in the running service at once`, async (t) => {
    const env = await environmentOf(t, setting)
    const { api } = await startServiceWith(t, env)
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

test('users commands refuse invalid arguments', async (t) => {
  const env = operatorEnvironment(await environmentOf(t, 'sqlite'))
  t.equal((await latchkey(['users', 'create', 'ada', '--role', 'editor'], env, PASSWORD)).code, 0)
  for (const [args, stdin, said] of [
    [['create', 'ada'], PASSWORD, /there is an account with this user name/],
    [['create', 'eve', '--role', 'a,b'], PASSWORD, /a role has 1 to 64 characters/],
    [['roles', 'ada', 'a"b'], '', /a role has 1 to 64 characters/],
    [['roles', 'ada', 'ü'], '', /a role has 1 to 64 characters/],
    [['roles', 'nobody', 'a'], '', /there is no account "nobody"/],
    [['reset-password', 'ada'], 'short', /too short/],
    [['reset-password', 'ada'], '', /the password is empty/],
    [['reset-password', 'nobody'], PASSWORD, /there is no account "nobody"/],
  ] as [string[], string, RegExp][]) {
    t.match(await latchkey(['users', ...args], env, stdin), { code: 1, stdout: '', stderr: said }, args.join(' '))
  }
  t.match((await latchkey(['users', 'list', '--json'], env)).json, { users: [{ username: 'ada', roles: ['editor'] }] })
})
