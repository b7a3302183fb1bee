import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Test, test } from 'tap'
import { countUsers, withAccounts } from '../support/accounts.js'
import { eventually } from '../support/eventually.js'
import { enrolTotp, newPerson } from '../support/factors.js'
import { environmentOf, LATCHKEY_PROGRAM, latchkey, operatorEnvironment } from '../support/latchkey.js'
import { type Environment, environment, PASSWORD, startServiceWith, temporaryFolder } from '../support/service.js'
import { isAll } from '../support/size.js'

const BCRYPT = '$2b$04$abcdefghijklmnopqrstuu7EJV7kdjBBQxyb0HjTh9KS7.Lah/6CG'
const BIG = Number(process.env.LATCHKEY_TEST_IMPORT ?? 20_000)

/** The command of docs/accounts.md, with the program of this checkout. */
const PIPE =
  '"$LATCHKEY" users export - | DATABASE_URL="$NEW_DATABASE_URL" REDIS_URL="$NEW_REDIS_URL" "$LATCHKEY" users import - --json'

/** Every row. The import sets the moment at which an account was disabled, so that column is reduced to its state. */
const rowsOf = (env: Environment) =>
  withAccounts(env, async (_users, { db }) => {
    const rows = await db.selectFrom('users').selectAll().orderBy('username_key').execute()
    return rows.map(({ disabled_at, created_at, password_version, ...row }) => ({
      ...row,
      disabled: disabled_at !== null,
      created: Math.floor(created_at / 1000),
    }))
  })

function startPipe(from: Environment, to: Environment) {
  const env = {
    PATH: process.env.PATH,
    ...operatorEnvironment(from),
    LATCHKEY: LATCHKEY_PROGRAM,
    NEW_DATABASE_URL: to.DATABASE_URL as string,
    NEW_REDIS_URL: to.REDIS_URL ?? '',
  }
  // A process group of its own: the kill of a pipe reaches both commands.
  const child = spawn('/bin/sh', ['-c', PIPE], { env, detached: true })
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (chunk) => (stdout += chunk))
  child.stderr.on('data', (chunk) => (stderr += chunk))
  const closed = once(child, 'close').then(([code]) => ({ code, stdout, stderr }))
  return { child, closed }
}

async function importLines(t: Test, env: Environment, lines: readonly string[]): Promise<void> {
  const file = join(temporaryFolder(t), 'users.ndjson')
  writeFileSync(file, `${lines.join('\n')}\n`)
  t.match(await latchkey(['users', 'import', file], operatorEnvironment(env)), { code: 0 })
}

test('one pipe moves the accounts of SQLite to Postgres: names, ids, hashes, roles, claims and states', async (t) => {
  const from = await environment(t, 'sqlite')
  const to = await environmentOf(t, 'postgres and redis')
  const old = await startServiceWith(t, from)
  for (const name of ['ada', 'Zoë', "o'brien@example.com", 'мария']) await old.api.signUp(name, PASSWORD)
  await importLines(t, from, [
    JSON.stringify({ username: 'foreign', password_hash: BCRYPT, id: 'auth0|507f', roles: ['editor', 'chief'] }),
    JSON.stringify({
      username: 'claims',
      password_hash: BCRYPT,
      claims: { tenant: 'acmé "1"', seats: 7, admin: false },
    }),
    JSON.stringify({ username: 'disabled', password_hash: BCRYPT, disabled: true, created_at: 1_600_000_000 }),
    JSON.stringify({ username: 'wordpress', password_hash: '$P$BbFOJxst4atIG6Rxi1Qj1kfFowHRpE/' }),
    ...Array.from({ length: 2500 }, (_, i) => JSON.stringify({ username: `user${i}`, password_hash: BCRYPT })),
  ])

  const { code, stdout, stderr } = await startPipe(from, to).closed

  t.equal(code, 0, stderr)
  t.match(JSON.parse(stdout), { lines: 2508, imported: 2508, present: 0, rejected: 0 })
  t.match(stderr, /^2508 accounts exported$/m)
  const byName = (rows: Awaited<ReturnType<typeof rowsOf>>) => rows.sort((a, b) => (a.id < b.id ? -1 : 1))
  t.strictSame(byName(await rowsOf(to)), byName(await rowsOf(from)), 'every row is the same')
  const { api } = await startServiceWith(t, { ...to, ACCOUNT_CLAIMS: 'tenant,seats' })
  for (const name of ['ada', 'Zoë', "o'brien@example.com", 'мария', 'foreign', 'wordpress']) {
    t.equal((await api.login(name, PASSWORD)).status, 200, name)
  }
  t.equal((await api.login('disabled', PASSWORD)).status, 401)
  const { access_token } = await api.tokens('claims', PASSWORD)
  t.match((await api.introspect(access_token)).body, { tenant: 'acmé "1"', seats: 7 })

  await old.api.signUp('later', PASSWORD)
  const again = await startPipe(from, to).closed
  t.match(JSON.parse(again.stdout), { lines: 2509, imported: 1, present: 2508, rejected: 0 }, 'run again, it adds')
})

test('an account with a second factor never signs in with its password alone in the new database', async (t) => {
  const from = { ...(await environment(t, 'sqlite')), DATA_SECRET: 'old-9fKq2Lx7Zr4Vb1Nc8Mw5Td3Hs6Gp0Yj' }
  const to = await environment(t, 'sqlite')
  const old = await startServiceWith(t, from)
  const { tokens } = await newPerson(old.api, 'ada')
  await enrolTotp(old.api, tokens.access_token)
  await old.api.signUp('eve', PASSWORD)
  t.match(JSON.parse((await startPipe(from, to).closed).stdout), { imported: 2 })
  const { api } = await startServiceWith(t, to)
  t.match(await api.login('ada', PASSWORD), { status: 403, body: { error: 'mfa_required' } })
  t.equal((await api.login('eve', PASSWORD)).status, 200)
})

test('users export writes a file that only its owner reads, and overwrites none', async (t) => {
  const env = operatorEnvironment(await environment(t, 'sqlite'))
  await latchkey(['users', 'create', 'ada', '--id', 'a|1', '--claims', '{"tenant":"acme"}'], env, PASSWORD)
  const file = join(temporaryFolder(t), 'users.ndjson')
  t.match(await latchkey(['users', 'export', file, '--json'], env), { code: 0, json: { exported: 1 } })
  t.equal(statSync(file).mode & 0o777, 0o600)
  const line = JSON.parse(readFileSync(file, 'utf8'))
  t.match(line, { id: 'a|1', username: 'ada', roles: [], disabled: false, claims: { tenant: 'acme' } })
  t.match(line.password_hash, /^\$argon2id\$/)
  t.match(await latchkey(['users', 'export', file], env), { code: 1, stderr: /cannot be created: EEXIST\n$/ })
  t.match(await latchkey(['users', 'export', '/nowhere/users'], env), { code: 1, stderr: /ENOENT\n$/ })
  t.match(await latchkey(['users', 'export'], env), { code: 1, stderr: /FILE is missing/ })
})

// The full size: LATCHKEY_TEST_IMPORT=1000000.
const testAll = isAll ? test : () => {}
testAll('a pipe that is killed and run again loses no account and doubles none', async (t) => {
  const from = await environment(t, 'sqlite')
  const to = await environmentOf(t, 'postgres and redis')
  const seed = (i: number) =>
    JSON.stringify({ username: `user${i}`, password_hash: BCRYPT, id: `auth0|${i}`, claims: { tenant: `t${i % 100}` } })
  await importLines(
    t,
    from,
    Array.from({ length: BIG }, (_, i) => seed(i)),
  )
  // Makes the tables, which the count reads.
  t.equal(await countUsers(to), 0)

  const { child, closed } = startPipe(from, to)
  await eventually(async () => (await countUsers(to)) >= BIG / 3, 600_000)
  process.kill(-(child.pid as number), 'SIGKILL')
  await closed
  const before = await countUsers(to)
  t.ok(before >= BIG / 3 && before < BIG, `${before} of ${BIG} were there when the pipe was killed`)

  const begin = Date.now()
  const second = startPipe(from, to)
  let peak = 0
  const watch = setInterval(() => {
    peak = Math.max(peak, peakOfGroup(second.child.pid as number))
  }, 200)
  const { code, stdout, stderr } = await second.closed
  clearInterval(watch)

  t.equal(code, 0, stderr)
  t.match(JSON.parse(stdout), { lines: BIG, imported: BIG - before, present: before, rejected: 0 })
  t.equal(await countUsers(to), BIG)
  t.comment(`${BIG} accounts: ${(Date.now() - begin) / 1000} s, at most ${peak} MB in one process`)
  t.ok(peak < 300, 'memory does not grow with the accounts')
})

/** The greatest peak memory of the processes of a group, in MB. */
function peakOfGroup(group: number): number {
  let peak = 0
  for (const pid of childrenOf(group)) {
    try {
      const status = readFileSync(`/proc/${pid}/status`, 'utf8')
      peak = Math.max(peak, Math.round(Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024))
    } catch {
      // It has ended.
    }
  }
  return peak
}

function childrenOf(pid: number): number[] {
  try {
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
      .trim()
      .split(' ')
      .filter(Boolean)
      .map(Number)
    return [pid, ...children.flatMap(childrenOf)]
  } catch {
    return []
  }
}
