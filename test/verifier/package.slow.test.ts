import { spawn } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { t as suite, test } from 'tap'
import { Api } from '../support/api.js'
import { installConsumer, packVerifier, ROOT, run, TSC } from '../support/consumer.js'
import { eventually, untilItSucceeds } from '../support/eventually.js'
import { withClaims } from '../support/gateways/tokens.js'
import { freePort } from '../support/servers/ports.js'
import { CLIENT, ISSUER, JWT_SECRET, PASSWORD, startService } from '../support/service.js'

/** One archive: npm cannot pack a folder twice at once. */
const packed = packVerifier(suite)
const installed = packed.then((file) => installConsumer(suite, file, 'consumer'))

test('the package has its licence, changelog, repository, keywords, and maps with the sources', async (t) => {
  const folder = join(await installed, 'node_modules/@latchkey/verifier')
  for (const name of ['LICENSE', 'CHANGELOG.md']) {
    t.equal(readFileSync(join(folder, name), 'utf8'), readFileSync(join(ROOT, name), 'utf8'))
  }
  t.match(readFileSync(join(folder, 'README.md'), 'utf8'), '# @latchkey/verifier')
  const { repository, keywords, license, exports } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  t.match({ repository, license }, { repository: { type: 'git', url: String, directory: 'verifier' }, license: 'MIT' })
  t.ok(keywords.length > 5)
  for (const file of ['dist/index.js', 'dist/cjs/index.js', 'dist/sidecar/main.js']) {
    t.match(readFileSync(join(folder, file), 'utf8'), /sourceMappingURL=/)
    t.match(JSON.parse(readFileSync(join(folder, `${file}.map`), 'utf8')), { sourcesContent: [/\w/] })
  }
  for (const conditions of Object.values<Record<string, string | Record<string, string>>>(exports)) {
    for (const file of Object.values(conditions).flatMap((each) =>
      typeof each === 'string' ? each : Object.values(each),
    )) {
      t.ok(readFileSync(join(folder, file)).length > 0, file)
    }
  }
})

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

/** Compiler options of services. The resolution of TypeScript before 4.7 reads CommonJS only. */
const compilers: Record<string, string[]> = {
  nodenext: ['-p', '.'],
  node16: ['-p', '.', '--module', 'node16', '--moduleResolution', 'node16', '--skipLibCheck'],
  bundler: ['-p', '.', '--module', 'preserve', '--moduleResolution', 'bundler', '--skipLibCheck'],
  'CommonJS output': [
    ...['compiles.cts', '--noEmit', '--strict', '--module', 'commonjs', '--moduleResolution', 'node10'],
    ...['--target', 'es2022', '--types', 'node', '--skipLibCheck'],
  ],
}

test('the types of the package compile as an ES module and by require, and misuse does not compile', async (t) => {
  const project = await installed
  // Such a service also has these.
  mkdirSync(join(project, 'node_modules/@types'), { recursive: true })
  for (const name of ['fastify', '@types/node', 'undici-types']) {
    symlinkSync(join(ROOT, 'node_modules', name), join(project, 'node_modules', name))
  }
  for (const [name, options] of Object.entries(compilers)) {
    const { stdout } = await run(process.execPath, [TSC, ...options], { cwd: project }).catch((error) => error)
    t.equal(stdout, '', name)
  }
})

const frameworksInstalled = packed
  .then((file) => installConsumer(suite, file, 'consumer-frameworks'))
  .then((project) => {
    // A service in TypeScript also has these.
    mkdirSync(join(project, 'node_modules/@types'), { recursive: true })
    for (const name of ['@types/node', 'undici-types']) {
      rmSync(join(project, 'node_modules', name), { recursive: true, force: true })
      symlinkSync(join(ROOT, 'node_modules', name), join(project, 'node_modules', name))
    }
    return project
  })
const settingsFor = (url: string) => ({
  PATH: process.env.PATH ?? '',
  LATCHKEY_URL: url,
  ISSUER,
  CLIENT_ID: CLIENT.id,
  CLIENT_SECRET: CLIENT.secret,
})

/** What runs each service. The service in TypeScript is compiled to CommonJS. */
const frameworks = {
  'Express 5, by require': 'express.cjs',
  'Fastify 5': 'fastify.mjs',
  Hono: 'hono.mjs',
  NestJS: 'nest.js',
}

test('the packed package guards a service on each framework, and a sign-out closes the service', async (t) => {
  const project = await frameworksInstalled
  const options = ['--module', 'commonjs', '--moduleResolution', 'node10', '--target', 'es2022', '--types', 'node']
  await t.resolves(
    run(process.execPath, [TSC, 'nest.ts', ...options, '--experimentalDecorators', '--strict', '--skipLibCheck'], {
      cwd: project,
    }).catch(({ stdout }) => Promise.reject(new Error(stdout))),
  )
  const { api } = await startService(t, 'sqlite')
  await api.signUp('ada', PASSWORD)
  for (const [name, file] of Object.entries(frameworks)) {
    const port = String(await freePort())
    const child = spawn(process.execPath, [file], {
      cwd: project,
      env: { ...settingsFor(api.url), PORT: port },
      stdio: ['ignore', 'inherit', 'inherit'],
    })
    t.teardown(() => child.kill('SIGKILL'))
    const application = new Api(`http://localhost:${port}`, CLIENT)
    const ask = (path: string, bearer?: string) => application.call(path, bearer === undefined ? {} : { bearer })
    await untilItSucceeds(() => ask('/'))
    const { access_token: token, sid } = await api.tokens('ada', PASSWORD)
    t.equal((await ask('/')).status, 401, name)
    t.match((await ask('/')).headers['www-authenticate'], /^Bearer/)
    t.equal((await ask('/', 'garbage')).status, 401, name)
    t.match(await ask('/', token), { status: 200, body: { hello: /^[\w-]{8,}/ } }, `${name} ${sid}`)
    t.equal((await ask('/admin', token)).status, 403, name)
    t.equal((await ask('/admin', withClaims(token, { roles: ['admin'] }))).status, 200, name)
    await api.logout(token)
    await eventually(async () => (await ask('/', token)).status === 401)
    child.kill('SIGKILL')
  }
})

test('the packed package works in Jest and in Vitest', async (t) => {
  const project = await frameworksInstalled
  const { api } = await startService(t, 'sqlite')
  await api.signUp('ada', PASSWORD)
  const { access_token: TOKEN } = await api.tokens('ada', PASSWORD)
  const env = { ...settingsFor(api.url), TOKEN, CI: 'true', NO_COLOR: '1' }
  for (const args of [
    ['node_modules/jest/bin/jest.js', '--rootDir', 'jest'],
    ['node_modules/vitest/vitest.mjs', 'run', '--dir', 'vitest'],
  ]) {
    const { stdout, stderr } = await run(process.execPath, args, { cwd: project, env }).catch((error) => error)
    t.match(stdout + stderr, /Tests?:? +1 passed/, `${args[0]}`)
  }
})

/** What the code of a page takes from around it, by a part of the code. */
const surroundings: [string, string][] = [
  ["'@latchkey/verifier/fastify'", "import Fastify from 'fastify'\nconst app = Fastify()"],
  ["'@latchkey/verifier/connect'", "import express from 'express'\nconst app = express()"],
  ["'@latchkey/verifier/web'", "import { Hono } from 'hono'\nconst app = new Hono()"],
  ['readFile(', "import { readFile } from 'node:fs/promises'\nimport { createVerifier } from '@latchkey/verifier'"],
]
const DECLARATIONS = `
declare const token: string
declare function todosOf(sub: string | undefined): string[]
declare function removeAll(request: unknown, response: unknown): void
declare function removeAccount(request: unknown, response: unknown): void
declare function log(text: string): void
`

test('the code in the documents compiles under --strict', async (t) => {
  const project = await frameworksInstalled
  const folder = join(project, 'documents')
  mkdirSync(folder)
  const files: string[] = []
  for (const page of ['verifier/README.md', 'docs/verify-tokens.md', 'docs/workloads.md']) {
    const blocks = readFileSync(join(ROOT, page), 'utf8').matchAll(/```(?:js|ts)\n(.*?)```/gs)
    for (const [i, [, code = '']] of [...blocks].entries()) {
      if (!code.includes('erifier')) continue
      const isWhole = code.includes('express()')
      const around = surroundings.filter(([part]) => !isWhole && code.includes(part)).map(([, text]) => text)
      const verifier = /(const verifier =|import .*createVerifier)/.test(code)
        ? ''
        : "import type { Verifier } from '@latchkey/verifier'\ndeclare const verifier: Verifier\n"
      const name = `${page.replaceAll(/\W/g, '-')}-${i}.mts`
      writeFileSync(join(folder, name), `${around.join('\n')}\n${verifier}${DECLARATIONS}\n${code}`)
      files.push(name)
    }
  }
  t.ok(files.length >= 6, `${files.length} pieces of code`)
  const options = ['--strict', '--noEmit', '--module', 'nodenext', '--target', 'es2023', '--types', 'node']
  const { stdout } = await run(process.execPath, [TSC, ...files, ...options, '--skipLibCheck'], { cwd: folder }).catch(
    (error) => error,
  )
  t.equal(stdout, '')
})
