import { execFile } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { t as suite, test } from 'tap'
import { JWT_SECRET, PASSWORD, startService } from '../support/service.js'
import { ISSUER } from '../support/verifier-setup.js'

const run = promisify(execFile)
const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
/** Sources of a service that uses the package. Its project compiles them, not this one. */
const CONSUMER = join(ROOT, 'test/verifier/consumer')

/** A foreign project with only the packed package installed. */
async function install(): Promise<string> {
  const project = mkdtempSync(join(tmpdir(), 'latchkey-consumer-'))
  suite.teardown(() => rmSync(project, { recursive: true, force: true }))
  const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', project, '--workspace', 'verifier'], {
    cwd: ROOT,
  })
  const [{ filename }] = JSON.parse(stdout.slice(stdout.indexOf('[')))
  writeFileSync(join(project, 'package.json'), '{"private":true}')
  const options = ['--prefer-offline', '--ignore-scripts', '--no-audit', '--no-fund']
  await run('npm', ['install', ...options, join(project, filename)], { cwd: project })
  cpSync(CONSUMER, project, { recursive: true })
  return project
}
const installed = install()

test('the packed package works elsewhere as an ES module and by require, without further packages', async (t) => {
  const { api } = await startService(t, 'sqlite')
  await api.signUp('ada', PASSWORD)
  const { access_token: TOKEN, sid } = await api.tokens('ada', PASSWORD)
  const project = await installed
  const packages = readdirSync(join(project, 'node_modules')).filter((name) => !name.startsWith('.'))
  t.same(packages, ['@latchkey'])

  for (const file of ['runs.mjs', 'runs.cjs']) {
    const { stdout, stderr } = await run(process.execPath, [file], {
      cwd: project,
      env: { PATH: process.env.PATH, ISSUER, JWT_SECRET, TOKEN },
    })
    t.equal(stderr, '', 'no warning')
    t.match(JSON.parse(stdout), {
      sid,
      forged: 'bad_signature',
      withoutIoredis: /npm install ioredis/,
      adapters: ['function', 'function'],
    })
  }
})

test('the types of the package compile as an ES module and by require, and misuse does not compile', {
  timeout: 120_000,
}, async (t) => {
  const project = await installed
  // Such a service also has these.
  mkdirSync(join(project, 'node_modules/@types'), { recursive: true })
  for (const name of ['fastify', '@types/node', 'undici-types']) {
    symlinkSync(join(ROOT, 'node_modules', name), join(project, 'node_modules', name))
  }
  const tsc = join(ROOT, 'node_modules/typescript/bin/tsc')
  const { stdout } = await run(process.execPath, [tsc, '-p', '.'], { cwd: project }).catch((error) => error)
  t.equal(stdout, '')
})
