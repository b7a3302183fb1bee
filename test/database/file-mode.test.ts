import { chmodSync, mkdirSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import SqliteDatabase from 'libsql'
import { test } from 'tap'
import { addDevelopmentSecrets } from '../../src/config/development-secrets.js'
import { readConfig } from '../../src/config/read.js'
import { withAccounts } from '../support/accounts.js'
import { latchkey } from '../support/latchkey.js'
import { environment, PASSWORD, startServiceWith, temporaryFolder } from '../support/service.js'

const FILES = ['latchkey.db', 'latchkey.db-shm', 'latchkey.db-wal']
const modeOf = (path: string) => statSync(path).mode & 0o777
const modesOf = (folder: string) =>
  Object.fromEntries(readdirSync(folder).map((name) => [name, modeOf(join(folder, name))]))

test('the files of a SQLite database have mode 0600, and a folder created for them has mode 0700', async (t) => {
  const before = process.umask(0)
  t.teardown(() => process.umask(before))
  const folder = join(temporaryFolder(t), 'made', 'here')
  const env = await environment(t, 'sqlite', { DATABASE_URL: `sqlite:${folder}/latchkey.db` })
  const { api } = await startServiceWith(t, env)
  await api.signUp('ada', PASSWORD)

  t.strictSame(modesOf(folder), Object.fromEntries(FILES.map((name) => [name, 0o600])))
  t.equal(modeOf(folder), 0o700)
  t.equal(modeOf(join(folder, '..')), 0o700)
})

test('a start restricts files with a wider mode from earlier versions; an existing folder keeps its mode', async (t) => {
  const folder = join(temporaryFolder(t), 'data')
  mkdirSync(folder, { mode: 0o755 })
  const env = await environment(t, 'sqlite', { DATABASE_URL: `sqlite:${folder}/latchkey.db` })
  const { api } = await startServiceWith(t, env)
  await api.signUp('ada', PASSWORD)
  for (const name of FILES) chmodSync(join(folder, name), 0o644)

  t.equal((await latchkey(['users', 'list'], { DATABASE_URL: env.DATABASE_URL as string })).code, 0)

  for (const [name, mode] of Object.entries(modesOf(folder))) t.equal(mode, 0o600, name)
  t.equal(modeOf(folder), 0o755)
})

test('a start also restricts the file of the development secrets', async (t) => {
  const folder = temporaryFolder(t)
  const read = () => addDevelopmentSecrets(readConfig({ DATABASE_URL: `sqlite:${folder}/latchkey.db` }))
  const { generated } = read()
  chmodSync(generated?.file as string, 0o644)

  read()

  t.equal(modeOf(generated?.file as string), 0o600)
})

test('a process that opens the database twice keeps its locks against other processes', async (t) => {
  const env = await environment(t, 'sqlite')
  const { api } = await startServiceWith(t, env)
  const url = env.DATABASE_URL as string
  for (let round = 0; round < 5; round += 1) {
    await withAccounts(env, async (users) => void (await users.findByName(`ada-${round}`)))
    t.equal((await api.signUp(`ada-${round}`, PASSWORD)).status, 201)
    t.equal((await latchkey(['users', 'disable', `ada-${round}`], { DATABASE_URL: url })).code, 0)
  }
  const file = new SqliteDatabase(url.slice('sqlite:'.length))
  t.teardown(() => void file.close())
  t.strictSame(file.prepare('PRAGMA integrity_check').all(), [{ integrity_check: 'ok' }])
})
