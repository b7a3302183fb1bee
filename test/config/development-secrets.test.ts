import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { test } from 'tap'
import type { Config } from '../../src/config/config.js'
import { addDevelopmentSecrets } from '../../src/config/development-secrets.js'
import { readConfig } from '../../src/config/read.js'
import { type Environment, JWT_SECRET, REFRESH_SECRET, temporaryFolder } from '../support/service.js'
import { isAll } from '../support/size.js'

const FILE = 'development-secrets.json'

const completeConfig = (env: Environment) => addDevelopmentSecrets(readConfig(env))

const secretsOf = ({ jwtSecrets, refreshSecrets, bootstrapClient }: Config) => ({
  jwtSecrets,
  refreshSecrets,
  bootstrapClient,
})

test('outside production missing secrets are generated and kept beside the database, with mode 0600', async (t) => {
  const folder = join(temporaryFolder(t), 'made', 'here')
  const config = completeConfig({ DATABASE_URL: `sqlite:${folder}/latchkey.db` })

  for (const secret of [config.jwtSecrets[0], config.refreshSecrets[0], config.bootstrapClient?.secret ?? '']) {
    t.equal(Buffer.from(secret, 'base64url').length, 32, '256 bits')
  }
  t.not(config.jwtSecrets[0], config.refreshSecrets[0])
  t.equal(config.bootstrapClient?.id, 'demo')
  t.strictSame(config.generated, { file: join(folder, FILE), client: config.bootstrapClient })
  t.equal(statSync(join(folder, FILE)).mode & 0o777, 0o600)
  t.strictSame(readdirSync(folder), [FILE], 'no draft is left')
})

test('the next start uses the same secrets: a restart signs nobody out', async (t) => {
  const env = { DATABASE_URL: `sqlite:${temporaryFolder(t)}/latchkey.db` }
  t.strictSame(secretsOf(completeConfig(env)), secretsOf(completeConfig(env)))
})

test('a secret that is set is used, and a missing secret is generated', async (t) => {
  const folder = temporaryFolder(t)
  const config = completeConfig({ DATABASE_URL: `sqlite:${folder}/latchkey.db`, JWT_SECRET })
  t.strictSame(config.jwtSecrets, [JWT_SECRET])
  t.equal(config.refreshSecrets[0], JSON.parse(readFileSync(join(folder, FILE), 'utf8')).refreshSecret)
})

test('when all secrets are set, nothing is generated', async (t) => {
  const folder = temporaryFolder(t)
  const config = completeConfig({
    DATABASE_URL: `sqlite:${folder}/latchkey.db`,
    JWT_SECRET,
    REFRESH_SECRET,
    BOOTSTRAP_CLIENT: 'todo:a-client-secret-of-more-than-32-bytes',
  })
  t.equal(config.generated, undefined)
  t.strictSame(readdirSync(folder), [])
})

test('nothing is generated in production, or when the configuration has another fault', async (t) => {
  const folder = temporaryFolder(t)
  const env = { DATABASE_URL: `sqlite:${folder}/latchkey.db` }
  t.throws(() => completeConfig({ ...env, NODE_ENV: 'production' }), /must be set in production/)
  t.throws(() => completeConfig({ ...env, PORT: 'x' }), /PORT: write/)
  t.strictSame(readdirSync(folder), [])
})

test('reading the configuration names the missing secrets, and creates no folder and no file', async (t) => {
  const folder = join(temporaryFolder(t), 'made')
  const env = { DATABASE_URL: `sqlite:${folder}/latchkey.db` }
  const missing = ['JWT_SECRET', 'REFRESH_SECRET', 'BOOTSTRAP_CLIENT', 'DATA_SECRET']
  const config = readConfig(env)
  t.strictSame(config.jwtSecrets, [])
  t.strictSame(config.refreshSecrets, [])
  t.equal(config.bootstrapClient, undefined)
  t.strictSame(config.missing, missing)
  t.strictSame(readConfig({ ...env, REFRESH_SECRET }).missing, ['JWT_SECRET', 'BOOTSTRAP_CLIENT', 'DATA_SECRET'])
  t.notOk(existsSync(folder))
})

test('a damaged file is a fault that says what to do, and the file is not overwritten', async (t) => {
  const folder = temporaryFolder(t)
  const env = { DATABASE_URL: `sqlite:${folder}/latchkey.db` }
  const path = join(folder, FILE)
  for (const damaged of ['', '{"jwtSecret":', '{}', '{"jwtSecret":1,"refreshSecret":"x","client":{}}', 'null']) {
    writeFileSync(path, damaged)
    t.throws(() => completeConfig(env), new RegExp(`a fault:\n.*${FILE} is damaged: delete it`), damaged)
    t.equal(readFileSync(path, 'utf8'), damaged)
  }
})

test('secrets that cannot be stored are a fault that says why', async (t) => {
  const folder = temporaryFolder(t)
  writeFileSync(join(folder, 'file'), '')
  t.throws(
    () => completeConfig({ DATABASE_URL: `sqlite:${folder}/file/latchkey.db` }),
    /a fault:\n {2}JWT_SECRET, REFRESH_SECRET: are not set, and could not be generated: E/,
  )
})

test('processes that start at the same time use the same secrets', async (t) => {
  for (let round = 0; round < (isAll ? 3 : 1); round += 1) {
    const folder = temporaryFolder(t)
    const env = { DATABASE_URL: `sqlite:${folder}/latchkey.db` }
    const found = await readAtOnce(env, 4)
    t.equal(new Set(found).size, 1, 'all have the same')
    t.equal(found[0], JSON.stringify(secretsOf(completeConfig(env))))
    t.strictSame(readdirSync(folder), [FILE])
  }
})

const moduleUrl = (name: string) => JSON.stringify(new URL(`../../src/config/${name}.js`, import.meta.url).href)

/** All processes wait for one another, so that each looks for the file before another has created it. */
async function readAtOnce(env: Environment, count: number): Promise<string[]> {
  const children = Array.from({ length: count }, () => startReader(env))
  await Promise.all(children.map(({ stdout }) => once(stdout as Readable, 'data')))
  return Promise.all(
    children.map(async (child) => {
      let output = ''
      child.stdout?.on('data', (chunk) => (output += chunk))
      const closed = once(child, 'close')
      child.stdin?.end()
      await closed
      return output.trim()
    }),
  )
}

/** Writes a line when everything is loaded, and reads the secrets when its standard input ends. */
function startReader(env: Environment): ChildProcess {
  const program = `
    import { readFileSync } from 'node:fs'
    const { readConfig } = await import(${moduleUrl('read')})
    const { addDevelopmentSecrets } = await import(${moduleUrl('development-secrets')})
    console.log('ready')
    readFileSync(0)
    const { jwtSecrets, refreshSecrets, bootstrapClient } = addDevelopmentSecrets(readConfig(process.env))
    console.log(JSON.stringify({ jwtSecrets, refreshSecrets, bootstrapClient }))`
  return spawn(process.execPath, ['--input-type=module', '-e', program], { env, stdio: ['pipe', 'pipe', 'inherit'] })
}
