import { test } from 'tap'
import { latchkey, operatorEnvironment } from '../support/latchkey.js'
import { PASSWORD, startService } from '../support/service.js'

test('a command writes an audit line to standard error for each thing that it changes, and none when it only looks', async (t) => {
  const { api, env } = await startService(t, 'sqlite')
  await api.signUp('ada', PASSWORD)
  const { sid } = await api.tokens('ada', PASSWORD)
  const sub = (await api.introspect((await api.tokens('ada', PASSWORD)).access_token)).body.sub
  const shell = operatorEnvironment(env)
  const run = async (args: string[], stdin = '') => {
    const { code, stderr } = await latchkey(args, shell, stdin)
    t.equal(code, 0, stderr)
    return stderr
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line))
  }
  const password = `${PASSWORD} again\n`
  const cases: [string[], object[], string?][] = [
    [['users', 'list'], []],
    [['sessions', 'list', 'ada'], []],
    [['sessions', 'revoke', 'ada', sid], [{ event: 'session.ended', sub, sids: [sid], reason: 'ended_by_admin' }]],
    [['sessions', 'revoke', 'ada', sid], []],
    [['users', 'roles', 'ada', 'editor'], [{ event: 'user.roles_changed', sub, roles: ['editor'] }]],
    [['users', 'claims', 'ada', '{"tenant":"acme"}'], [{ event: 'user.claims_changed', sub, claims: ['tenant'] }]],
    [['users', 'rename', 'ada', 'lovelace'], [{ event: 'user.renamed', sub, username: 'lovelace' }]],
    [['users', 'mfa', 'lovelace', 'off'], [{ event: 'user.mfa_changed', sub, required: false }]],
    [
      ['users', 'reset-factors', 'lovelace'],
      [
        { event: 'factor.reset', sub },
        { event: 'session.ended', reason: 'factors_reset' },
      ],
    ],
    [['users', 'reset-password', 'lovelace'], [{ event: 'user.password_reset', sub }], password],
    [['users', 'disable', 'lovelace'], [{ event: 'user.disabled', sub }]],
    [['users', 'enable', 'lovelace'], [{ event: 'user.enabled', sub }]],
    [['users', 'delete', 'lovelace'], [{ event: 'user.deleted', sub }]],
    [['users', 'create', 'eve'], [{ event: 'user.created', sub: /^[\w-]{36}$/ }], password],
    [
      ['users', 'import', '-'],
      [{ event: 'users.imported', imported: 1 }],
      `{"username":"zoe","password_hash":"$2b$12$${'a'.repeat(53)}"}`,
    ],
    [
      ['clients', 'create', 'app', '--scope', 'introspect'],
      [{ event: 'client.created', client: 'app', scopes: ['introspect'] }],
    ],
    [
      ['clients', 'update', 'app', '--audience', 'web'],
      [{ event: 'client.updated', client: 'app', audiences: ['web'] }],
    ],
    [['clients', 'rotate', 'app'], [{ event: 'client.secret_rotated', client: 'app' }]],
    [['clients', 'delete', 'app'], [{ event: 'client.deleted', client: 'app' }]],
    [['issuers', 'add', 'k8s', '--issuer', 'https://k8s.example'], [{ event: 'issuer.created', issuer: 'k8s' }]],
    [['issuers', 'remove', 'k8s'], [{ event: 'issuer.deleted', issuer: 'k8s' }]],
  ]
  for (const [args, events, stdin] of cases) {
    const lines = await run(args, stdin)
    t.equal(lines.length, events.length, args.join(' '))
    t.match(lines, events, args.join(' '))
    for (const line of lines) {
      t.match(line, { log: 'audit', time: /Z$/, command: args.slice(0, 2).join(' '), osUser: /./ })
      t.notMatch(JSON.stringify(line), /\$2b\$|correct horse/)
    }
  }
})

test('a scope that is nearly one of this service is refused, and other scopes are not', async (t) => {
  const { env } = await startService(t, 'sqlite')
  const shell = operatorEnvironment(env)
  for (const [scope, meant] of [
    ['introspct', 'introspect'],
    ['Introspect', 'introspect'],
    ['introspection', 'introspect'],
    ['itnrospect', 'introspect'],
    ['admins', 'admin'],
    ['ADMIN', 'admin'],
    ['admn', 'admin'],
    ['recover', 'recovery'],
  ] as const) {
    const ran = await latchkey(['clients', 'create', 'app', '--scope', scope], shell)
    t.match(ran, { code: 1, stdout: '' }, scope)
    t.match(ran.stderr, `there is no scope ${scope}: write ${meant}`)
  }
  const others = ['introspect', 'admin', 'recovery', 'read', 'main', 'orders:write', 'adm']
  t.match(await latchkey(['clients', 'create', 'app', '--scope', others.join(' ')], shell), { code: 0 })
})
