import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createReadStream, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Test, test } from 'tap'
import { countUsers } from '../support/accounts.js'
import { eventually } from '../support/eventually.js'
import {
  environmentOf,
  LATCHKEY_PROGRAM,
  latchkey,
  latchkeyProcess,
  operatorEnvironment,
  storeCombinations,
} from '../support/latchkey.js'
import { PASSWORD, startServiceWith, temporaryFolder } from '../support/service.js'
import { isAll } from '../support/size.js'

/** Hashes of PASSWORD, made by libxcrypt. */
const BCRYPT = '$2b$04$abcdefghijklmnopqrstuu7EJV7kdjBBQxyb0HjTh9KS7.Lah/6CG'
const BIG = Number(process.env.LATCHKEY_TEST_IMPORT ?? 20_000)

function fileOf(t: Test, lines: readonly (object | string)[]): string {
  const file = join(temporaryFolder(t), 'users.ndjson')
  writeFileSync(file, lines.map((line) => `${typeof line === 'string' ? line : JSON.stringify(line)}\n`).join(''))
  return file
}

for (const setting of storeCombinations) {
  test(`${setting}: users import skips bad lines with their number and reason, and the imported users can sign in`, async (t) => {
    const env = await environmentOf(t, setting)
    const { api } = await startServiceWith(t, env)
    await api.signUp('there', PASSWORD)
    const id = '3f6c1a52-8d0e-4b7a-9c1f-5e2d7a4b6c80'
    const backend = '0b7f5f0e-6a53-4c1e-8f0a-2f6a4c9d1e77'
    await latchkey(['clients', 'create', backend], operatorEnvironment(env))
    const lines: [line: object | string, said?: RegExp][] = [
      [{ username: 'ada', password_hash: BCRYPT, id, roles: ['editor'], created_at: 1_600_000_000 }],
      [''],
      [{ username: 'eve', password_hash: BCRYPT, disabled: true }],
      ['{"username":', /^it is not JSON$/],
      ['[]', /^it is not a JSON object$/],
      [{ username: 'a b', password_hash: BCRYPT }, /^username may only have letters/],
      ['{"username":"bob\\ud800","password_hash":"x"}', /^username may only have letters/],
      ['{"username":"bob","password_hash":"$2b$04$\\ud800"}', /^password_hash: /],
      [`{"username":"bob","password_hash":"${BCRYPT}","roles":["\\udfff"]}`, /^roles: a role has/],
      [{ password_hash: BCRYPT }, /^username is missing/],
      [{ username: 'bob' }, /^password_hash is missing/],
      [{ username: 'bob', password: 'secret' }, /^password is not allowed/],
      [
        { username: 'bob', password_hash: '5f4dcc3b5aa765d61d8327deb882cf99' },
        /^password_hash: the hash is MD5 in hexadecimal digits, which is not accepted/,
      ],
      [{ username: 'bob', password_hash: BCRYPT.replace('04', '31') }, /^password_hash: .* costs too much/],
      [{ username: 'bob', password_hash: BCRYPT, roles: ['a,b'] }, /^roles: a role has/],
      [{ username: 'bob', password_hash: BCRYPT, roles: 'a' }, /^roles must be a list/],
      [{ username: 'bob', password_hash: BCRYPT, disabled: 1 }, /^disabled must be/],
      [{ username: 'bob', password_hash: BCRYPT, created_at: 1.5 }, /^created_at must be/],
      [{ username: 'bob', password_hash: BCRYPT, id: 'to do' }, /^id must have 1 to 64 letters/],
      [{ username: 'THERE', password_hash: BCRYPT }, /^another account has this user name, or one that looks like it$/],
      [{ username: 'ADA', password_hash: BCRYPT }, /^another account has this user name, or one that looks like it$/],
      [{ username: 'carl', password_hash: BCRYPT, id }, /^another account, or a client, has this id$/],
      [{ username: 'carl', password_hash: BCRYPT, id: backend }, /^another account, or a client, has this id$/],
      [`{"username":"${'x'.repeat(70_000)}"}`, /^it is longer than/],
      [{ username: 'zoë', password_hash: BCRYPT, more: 'is ignored' }],
    ]
    const file = fileOf(
      t,
      lines.map(([line]) => line),
    )

    const ran = await latchkey(['users', 'import', file, '--json'], operatorEnvironment(env))

    t.equal(ran.code, 1, 'because some lines were skipped')
    t.strictSame(ran.json, { lines: 24, imported: 3, present: 0, rejected: 21 })
    const told = ran.stderr
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
      .filter(({ log }) => log !== 'audit')
    const expected = lines.flatMap(([, reason], index) => (reason ? [{ line: index + 1, reason }] : []))
    t.match(
      told.sort((a, b) => a.line - b.line),
      expected,
    )
    t.equal(told.length, expected.length)
    t.notMatch(ran.stderr, /abcdefghij|secret|5f4dcc/, 'no hash and no password is told')

    const { access_token } = await api.tokens('ada', PASSWORD)
    t.match((await api.introspect(access_token)).body, { sub: id, roles: ['editor'] })
    t.equal((await api.login('eve', PASSWORD)).status, 401, 'she is disabled')
    t.equal((await api.login('Zoe\u0308', PASSWORD)).status, 200)
    const again = await latchkey(['users', 'import', file], operatorEnvironment(env))
    t.match(again, { code: 1, stdout: '24 lines: 0 imported, 3 already present, 21 skipped\n' })
    t.match(again.stderr, /^line 4: it is not JSON$/m)
    const { users } = (await latchkey(['users', 'list', '--json'], operatorEnvironment(env))).json
    t.match(users, [
      { username: 'ada', id, disabled: false, created_at: 1_600_000_000 },
      { username: 'eve', disabled: true },
      { username: 'there' },
      { username: 'zoë' },
    ])
    const roles = (users as { roles: string[] }[]).map((user) => user.roles)
    t.strictSame(roles, [['editor'], [], [], []])
  })

  test(`${setting}: users import accepts e-mail addresses as user names, and only the first of several names that look alike`, async (t) => {
    const env = await environmentOf(t, setting)
    const { api } = await startServiceWith(t, env)
    const long = `${'x'.repeat(64)}@${'y'.repeat(189)}`
    const lines = ["o'brien@example.com", long, 'علي', 'علی', 'ɡrace', 'αβγ@example.com'].map((username) => ({
      username,
      password_hash: BCRYPT,
    }))
    const file = fileOf(t, lines)

    const ran = await latchkey(['users', 'import', file, '--json'], operatorEnvironment(env))

    t.strictSame(ran.json, { lines: 6, imported: 3, present: 0, rejected: 3 })
    t.match(ran.stderr, /"line":4,"reason":"another account has this user name, or one that looks like it"/)
    t.match(ran.stderr, /"line":5,"reason":"username has a character that Unicode does not recommend/)
    t.match(ran.stderr, /"line":6,"reason":"username looks like Latin letters but has letters of another script/)
    for (const name of ["O'Brien@Example.com", long, 'علي'])
      t.equal((await api.login(name, PASSWORD)).status, 200, name)
    t.match((await latchkey(['users', 'import', file, '--json'], operatorEnvironment(env))).json, {
      present: 3,
      rejected: 3,
    })
  })

  if (!isAll) continue
  test(`${setting}: after a kill a second import completes the first, without lost or duplicate accounts`, async (t) => {
    const env = await environmentOf(t, setting)
    const { api } = await startServiceWith(t, env)
    const line = (i: number) => `${JSON.stringify({ username: `user${i}`, password_hash: BCRYPT })}\n`
    const file = join(temporaryFolder(t), 'users.ndjson')
    writeFileSync(file, Array.from({ length: BIG }, (_, i) => line(i)).join(''))

    for (const part of [0.2, 0.6]) {
      const child = spawn(LATCHKEY_PROGRAM, ['users', 'import', '-'], {
        env: { PATH: process.env.PATH, ...operatorEnvironment(env) },
      })
      // The last lines never come, so the import cannot end before the kill.
      const end = Math.floor(statSync(file).size * 0.9)
      createReadStream(file, { end }).pipe(
        child.stdin.on('error', () => {}),
        { end: false },
      )
      const exited = once(child, 'exit')
      await eventually(async () => child.exitCode !== null || (await countUsers(env)) >= BIG * part, 200_000)
      child.kill('SIGKILL')
      t.strictSame(await exited, [null, 'SIGKILL'], 'killed in the middle')
    }
    const before = await countUsers(env)
    t.ok(before >= BIG * 0.6 && before < BIG, `${before} were there`)
    // A user who has signed in since has a new hash, and stays the same account.
    t.equal((await api.login('user7', PASSWORD)).status, 200)

    const ran = await latchkey(['users', 'import', file, '--json'], operatorEnvironment(env))

    t.match(ran, { code: 0, json: { lines: BIG, imported: BIG - before, present: before, rejected: 0 } })
    t.equal(await countUsers(env), BIG)
    for (const name of ['user0', `user${before}`, `user${BIG - 1}`]) {
      t.equal((await api.login(name, PASSWORD)).status, 200, name)
    }
  })
}

test('users import reads standard input, and a running service is not disturbed', async (t) => {
  const env = await environmentOf(t, 'sqlite')
  const { api } = await startServiceWith(t, env)
  const lines = Array.from({ length: 5000 }, (_, i) => JSON.stringify({ username: `user${i}`, password_hash: BCRYPT }))
  let isDone = false
  const importing = latchkeyProcess(['users', 'import', '-'], operatorEnvironment(env), `${lines.join('\n')}`).finally(
    () => {
      isDone = true
    },
  )
  const signUp = (username: string) => api.call('/users', { json: { username, password: PASSWORD } })
  const statuses = new Set<number>()
  // An address may sign up 300 times in an hour.
  for (let i = 0; i < 300 && !isDone; i += 1) statuses.add((await signUp(`beside${i}`)).status)
  t.match(await importing, {
    code: 0,
    stdout: '5000 lines: 5000 imported, 0 already present, 0 skipped\n',
    // On a slow machine the command reports its progress.
    stderr:
      /^(?:\d+ lines: \d+ imported, 0 already present, 0 skipped\n)*\{.*"event":"users\.imported","imported":5000.*\}\n$/,
  })
  t.strictSame([...statuses], [201])
})

test('users import says why it cannot start', async (t) => {
  const env = operatorEnvironment(await environmentOf(t, 'sqlite'))
  for (const [args, code, said] of [
    [['/nowhere.ndjson'], 1, /^latchkey: \/nowhere\.ndjson cannot be read: ENOENT\n$/],
    [['/'], 1, /^latchkey: \/ cannot be read: EISDIR\n$/],
    [[], 2, /^latchkey: FILE is missing/],
  ] as [string[], number, RegExp][]) {
    t.match(await latchkey(['users', 'import', ...args], env), { code, stdout: '', stderr: said })
  }
  t.match(await latchkey(['users', 'import', '-'], env), { code: 0, stdout: /^0 lines: 0 imported/ })
})
