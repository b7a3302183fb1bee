import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createWriteStream, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { type Test, test } from 'tap'
import { totpContext } from '../../src/factors/factors.js'
import { createSealing } from '../../src/factors/sealing.js'
import { countUsers, withAccounts } from '../support/accounts.js'
import { type Api, basicAuthorization } from '../support/api.js'
import { Authenticator } from '../support/authenticator.js'
import { createClient } from '../support/clients.js'
import { eventually } from '../support/eventually.js'
import { enrolPasskey, enrolTotp, loginMfa, mfaToken, newPerson, passkeyOptions } from '../support/factors.js'
import { environmentOf, LATCHKEY_PROGRAM, latchkey, latchkeyProcess, operatorEnvironment } from '../support/latchkey.js'
import { killGroup } from '../support/process-group.js'
import { wasConnectionLate } from '../support/ready-database.js'
import { type Environment, environment, PASSWORD, startServiceWith, temporaryFolder } from '../support/service.js'
import { isAll } from '../support/size.js'

const BCRYPT = '$2b$04$abcdefghijklmnopqrstuu7EJV7kdjBBQxyb0HjTh9KS7.Lah/6CG'
const BIG = Number(process.env.LATCHKEY_TEST_IMPORT ?? 20_000)

const OLD_DATA_SECRET = 'old-9fKq2Lx7Zr4Vb1Nc8Mw5Td3Hs6Gp0Yj'
const NEW_DATA_SECRET = 'new-4Tw8Kc1Vn6Xs3Bz9Qm5Jh7Rf2Lg0Pd'

/** The command of docs/accounts.md, with the program of this checkout. */
const PIPE =
  '"$LATCHKEY" users export - | DATABASE_URL="$NEW_DATABASE_URL" REDIS_URL="$NEW_REDIS_URL" DATA_SECRET="$SECRET" "$LATCHKEY" users import - --json'

/** Every row. The import sets the moment at which an account was disabled, so that column is reduced to its state. */
const rowsOf = (env: Environment) =>
  withAccounts(env, async (_users, { db }) => {
    const rows = await db.selectFrom('users').selectAll().orderBy('username_key').execute()
    return rows.map(({ disabled_at, created_at, ...row }) => ({
      ...row,
      disabled: disabled_at !== null,
      created: Math.floor(created_at / 1000),
    }))
  })

function startPipe(from: Environment, to: Environment, pipe = PIPE) {
  const env = {
    PATH: process.env.PATH,
    ...operatorEnvironment(from),
    LATCHKEY: LATCHKEY_PROGRAM,
    NEW_DATABASE_URL: to.DATABASE_URL as string,
    NEW_REDIS_URL: to.REDIS_URL ?? '',
    SECRET: OLD_DATA_SECRET,
  }
  // A process group of its own: the kill of a pipe reaches both commands.
  const child = spawn('/bin/sh', ['-c', pipe], { env, detached: true })
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (chunk) => (stdout += chunk))
  child.stderr.on('data', (chunk) => (stderr += chunk))
  const closed = once(child, 'close').then(([code]) => ({ code, stdout, stderr }))
  return { child, closed }
}

/** The two commands of the pipe, by a file, in the process that all commands of this test share. */
async function move(t: Test, from: Environment, to: Environment, dataSecret?: string, ...options: string[]) {
  const file = join(temporaryFolder(t), 'users.ndjson')
  t.match(await latchkey(['users', 'export', file], operatorEnvironment(from)), { code: 0 })
  const env = { ...operatorEnvironment(to), ...(dataSecret && { DATA_SECRET: dataSecret }) }
  return latchkey(['users', 'import', file, '--json', ...options], env)
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

/** Every factor and recovery code. Lines have seconds. */
const factorsOf = (env: Environment) =>
  withAccounts(env, async (_users, { db }) => {
    const factors = await db.selectFrom('factors').selectAll().orderBy('id').execute()
    const codes = await db.selectFrom('recovery_codes').selectAll().orderBy('hash').execute()
    const seconds = (time: number | null) => time && Math.floor(time / 1000)
    const rows = factors.map(({ created_at, confirmed_at, last_used_at, details, ...row }) => ({
      ...row,
      details: JSON.parse(details ?? 'null'),
      created: seconds(created_at),
      isConfirmed: confirmed_at !== null,
      used: seconds(last_used_at),
    }))
    return { rows, codes }
  })

/** A person with an app, a passkey that counts, recovery codes of which one is used, and a begun enrolment. */
async function personWithFactors(t: Test, env: Environment) {
  const { api } = await startServiceWith(t, env)
  const { tokens } = await newPerson(api, 'ada')
  const { app, answer } = await enrolTotp(api, tokens.access_token)
  const authenticator = new Authenticator('http://latchkey.test', { counter: true })
  const { passkey } = await enrolPasskey(api, tokens.access_token, authenticator)
  await api.call('/users/me/factors/totp', { method: 'POST', bearer: tokens.access_token })
  const [used, unused] = answer.body.recovery_codes
  t.match(await loginMfa(api, await mfaToken(api, 'ada'), { recovery_code: used }), { status: 200 })
  await api.signUp('eve', PASSWORD)
  return { app, passkey, used, unused }
}

test('one pipe moves second factors: app, passkeys, recovery codes and what of them was used', async (t) => {
  const from = { ...(await environment(t, 'sqlite')), DATA_SECRET: OLD_DATA_SECRET }
  const to = { ...(await environmentOf(t, 'postgres and redis')), DATA_SECRET: OLD_DATA_SECRET }
  const { app, passkey, used, unused } = await personWithFactors(t, from)
  const usedCode = app.last()

  t.match(await move(t, from, to, OLD_DATA_SECRET), { code: 0, json: { imported: 2, rejected: 0 } })

  const [before, after] = [await factorsOf(from), await factorsOf(to)]
  const confirmed = before.rows.filter(({ isConfirmed }) => isConfirmed)
  t.strictSame(after, { ...before, rows: confirmed }, 'every row is the same; an enrolment that was begun stays behind')
  t.equal(after.codes.length, 9)
  const { api } = await startServiceWith(t, to)
  const token = () => mfaToken(api, 'ada')
  t.match(await loginMfa(api, await token(), { recovery_code: used }), { status: 401 }, 'used there, so used here')
  t.match(await loginMfa(api, await token(), { totp: usedCode }), { status: 401 }, 'the code of the enrolment')
  t.match(await loginMfa(api, await token(), { totp: await app.next() }), { status: 200 })
  t.match(await loginMfa(api, await token(), { recovery_code: unused }), { status: 200 })
  const answer = await api.call('/login/passkey', { json: { passkey: passkey.get(await passkeyOptions(api)) } })
  t.match(answer, { status: 200 })
  t.match(await api.login('eve', PASSWORD), { status: 200 })
})

test('secrets of apps need DATA_SECRET of the old service: otherwise the line is refused, and NEW,OLD seals them again', async (t) => {
  const from = { ...(await environment(t, 'sqlite')), DATA_SECRET: OLD_DATA_SECRET }
  const to = { ...(await environment(t, 'sqlite')), DATA_SECRET: NEW_DATA_SECRET }
  const { app } = await personWithFactors(t, from)
  for (const secret of [undefined, NEW_DATA_SECRET]) {
    const { code, stderr, json } = await move(t, from, to, secret)
    t.equal(code, 1)
    t.match(stderr, /its TOTP secret does not open: set DATA_SECRET as the old service has it/)
    t.equal(json.rejected, 1)
    t.match(await factorsOf(to), { rows: { length: 0 }, codes: { length: 0 } })
  }
  t.match(await move(t, from, to, `${NEW_DATA_SECRET},${OLD_DATA_SECRET}`), { code: 0 })

  const { api } = await startServiceWith(t, to)
  t.match(await loginMfa(api, await mfaToken(api, 'ada'), { totp: await app.next() }), { status: 200 })
  t.match(
    await latchkey(['secrets', 'reseal', '--json'], { ...operatorEnvironment(to), DATA_SECRET: NEW_DATA_SECRET }),
    {
      json: { resealed: 0 },
    },
  )
})

test('an import --without-factors lets no account sign in with its password alone that had a factor', async (t) => {
  const from = { ...(await environment(t, 'sqlite')), DATA_SECRET: OLD_DATA_SECRET }
  const to = await environment(t, 'sqlite')
  await personWithFactors(t, from)
  t.match(await move(t, from, to, undefined, '--without-factors'), { code: 0, json: { imported: 2 } })
  const { api } = await startServiceWith(t, to)
  const withoutFactors = await api.login('ada', PASSWORD)
  t.match(withoutFactors, { status: 403, body: { error: 'mfa_required' } })
  t.strictSame(withoutFactors.body.factors, [])
  t.match(await api.login('eve', PASSWORD), { status: 200 })
})

test('a line whose factors are broken, moved or of another account is refused with the reason, and changes nothing', async (t) => {
  const from = { ...(await environment(t, 'sqlite')), DATA_SECRET: OLD_DATA_SECRET }
  const to = await environment(t, 'sqlite')
  await personWithFactors(t, from)
  const file = join(temporaryFolder(t), 'users.ndjson')
  await latchkey(['users', 'export', file], operatorEnvironment(from))
  const line = readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map((text) => JSON.parse(text))
    .find(({ username }) => username === 'ada')
  const totp = line.factors.find(({ type }: { type: string }) => type === 'totp')
  const passkey = line.factors.find(({ type }: { type: string }) => type === 'passkey')
  const env = { ...operatorEnvironment(to), DATA_SECRET: OLD_DATA_SECRET }
  const importLine = (changed: object) => latchkey(['users', 'import', '-'], env, `${JSON.stringify(changed)}\n`)
  const { id: _, ...withoutId } = line
  for (const [changed, reason] of [
    [withoutId, /factors need the id/],
    [{ ...line, factors: {} }, /must be lists/],
    [{ ...line, factors: [] }, /recovery_codes need factors/],
    [{ ...line, factors: [{ ...totp, type: 'sms' }] }, /one is not as users export writes it/],
    [{ ...line, factors: [{ ...passkey, credential_id: 'a b' }] }, /one is not as users export writes it/],
    [{ ...line, factors: [passkey, passkey] }, /two have the same id/],
    [{ ...line, factors: [totp, { ...totp, id: 'another' }] }, /does not open/],
    [{ ...line, id: 'another' }, /does not open/],
    [{ ...line, recovery_codes: ['short'] }, /recovery_codes must be/],
    [{ ...line, password_version: 0 }, /password_version/],
  ] as const) {
    t.match(await importLine(changed), { code: 1, stderr: reason }, JSON.stringify(reason.source))
  }
  t.equal(await countUsers(to), 0)

  t.match(await latchkey(['users', 'import', file], env), { code: 0 })
  const thief = { ...line, id: 'thief', username: 'thief', factors: [passkey], recovery_codes: [] }
  t.match(await importLine(thief), { code: 1, stderr: /another account has one of its factors/ })
  const twin = { ...thief, factors: [{ ...passkey, id: 'f1', credential_id: 'twin' }] }
  const both = `${JSON.stringify(twin)}\n${JSON.stringify(twin)}\n`
  t.match(await latchkey(['users', 'import', '-', '--json'], env, both), { json: { imported: 1, present: 1 } })
  t.equal((await factorsOf(to)).rows.length, 3)
})

test('a recovery token that was used stays used in the other database', async (t) => {
  const from = await environment(t, 'sqlite')
  const to = await environment(t, 'sqlite')
  const old = await startServiceWith(t, from)
  await old.api.signUp('ada', PASSWORD)
  const client = await createClient(from, 'mailer', { scopes: ['recovery'] })
  const { body } = await old.api.call('/recovery', { json: { username: 'ada' }, headers: basicAuthorization(client) })
  const complete = (api: Api, token: string, password: string) =>
    api.call('/recovery/complete', { json: { token, new_password: password } })
  t.equal((await complete(old.api, body.token, 'seven tame otters hum')).status, 204)
  t.match(await move(t, from, to), { code: 0 })
  const { api } = await startServiceWith(t, to)
  t.equal((await complete(api, body.token, 'the password of a thief')).status, 400)
  t.equal((await api.login('ada', 'seven tame otters hum')).status, 200)
})

test('users export writes a file that only its owner reads, and overwrites none', async (t) => {
  const env = operatorEnvironment(await environment(t, 'sqlite'))
  await latchkey(['users', 'create', 'ada', '--id', 'a|1', '--claims', '{"tenant":"acme"}'], env, PASSWORD)
  const file = join(temporaryFolder(t), 'users.ndjson')
  t.match(await latchkey(['users', 'export', file, '--json'], env), { code: 0, json: { exported: 1 } })
  t.equal(statSync(file).mode & 0o777, 0o600)
  const line = JSON.parse(readFileSync(file, 'utf8'))
  t.match(line, { id: 'a|1', username: 'ada', disabled: false, claims: { tenant: 'acme' } })
  t.strictSame(line.roles, [])
  t.match(line.password_hash, /^\$argon2id\$/)
  t.match(await latchkey(['users', 'export', file], env), { code: 1, stderr: /cannot be created: EEXIST\n$/ })
  t.match(await latchkey(['users', 'export', '/nowhere/users'], env), { code: 1, stderr: /ENOENT\n$/ })
  t.match(await latchkey(['users', 'export'], env), { code: 2, stderr: /FILE is missing/ })
})

// The full size: LATCHKEY_TEST_IMPORT=1000000.
const testAll = isAll ? test : () => {}
testAll('a pipe that is killed and run again loses no account and no factor, and doubles none', async (t) => {
  const from = await environment(t, 'sqlite')
  const to = await environmentOf(t, 'postgres and redis')
  const seeds = join(temporaryFolder(t), 'seeds.ndjson')
  await pipeline(Readable.from(seedLines(BIG)), createWriteStream(seeds))
  const env = { ...operatorEnvironment(from), DATA_SECRET: OLD_DATA_SECRET }
  t.match(await latchkeyProcess(['users', 'import', seeds], env), { code: 0 })
  // Makes the tables, which the count reads.
  t.equal(await countUsers(to), 0)

  // The last lines never come, so the import cannot end before the kill.
  const held = PIPE.replace('|', `| { head -n ${Math.floor(BIG * 0.9)}; exec sleep 3600; } |`)
  const { child, closed } = startPipe(from, to, held)
  await eventually(async () => (await countUsers(to)) >= BIG / 3, 600_000)
  killGroup(child)
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
  t.comment(`${BIG} accounts: ${(Date.now() - begin) / 1000} s, at most ${peak} MB in one process`)
  t.ok(peak < 300, 'memory does not grow with the accounts')
  t.strictSame(await digestOf(to), await digestOf(from), 'both databases export the same lines')
})

/** Accounts of which each tenth has a passkey and recovery codes, and each twentieth an app. */
function* seedLines(count: number): Generator<string> {
  const sealing = createSealing([OLD_DATA_SECRET])
  for (let i = 0; i < count; i += 1) {
    const id = `auth0|${i}`
    const common = { name: 'phone', created_at: 1_700_000_000, last_used_at: null }
    const passkey = { type: 'passkey', id: `p${i}`, ...common, credential_id: `c${i}`, public_key: 'pQECAyYgASFY' }
    const context = totpContext({ id: `t${i}`, sub: id })
    const app = () => ({
      type: 'totp',
      id: `t${i}`,
      ...common,
      sealed_secret: sealing.seal('JBSWY3DPEHPK3PXP', context),
      last_step: i,
    })
    const codes = Array.from({ length: 10 }, (_, n) => `${i}-${n}-`.padEnd(43, 'x'))
    const factors = [
      { ...passkey, counter: i, transports: ['internal'], synced: true },
      ...(i % 20 === 0 ? [app()] : []),
    ]
    const more = i % 10 === 0 ? { factors, recovery_codes: codes } : {}
    const claims = { tenant: `t${i % 100}` }
    yield `${JSON.stringify({ username: `user${i}`, password_hash: BCRYPT, id, claims, created_at: 1_600_000_000, ...more })}\n`
  }
}

/** The lines of an export, counted and added up, because each database has its own order of ids. */
async function digestOf(env: Environment): Promise<{ lines: number; factors: number; sum: string }> {
  const child = spawn(LATCHKEY_PROGRAM, ['users', 'export', '-'], {
    env: { PATH: process.env.PATH, ...operatorEnvironment(env) },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let errors = ''
  child.stderr.on('data', (chunk) => (errors += chunk))
  const closed = once(child, 'close')
  let [lines, factors, sum] = [0, 0, 0n]
  for await (const line of createInterface(child.stdout)) {
    lines += 1
    if (line.includes('"factors"')) factors += 1
    sum += createHash('sha256').update(line).digest().readBigUInt64BE()
  }
  const [code] = await closed
  if (wasConnectionLate(errors)) return digestOf(env)
  if (code !== 0) throw new Error(errors)
  return { lines, factors, sum: String(sum) }
}

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
