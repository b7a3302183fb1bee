import { execFile, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { type Test, test } from 'tap'
import { freePort } from '../support/servers/ports.js'
import { temporaryFolder } from '../support/service.js'

const root = new URL('../../../', import.meta.url)
const README = readFileSync(new URL('README.md', root), 'utf8')

interface FirstRun {
  /** The folder of the first run, empty before. */
  folder: string
  url: string
  managementUrl: string
  /** The text that the service prints at its start. */
  banner: string
}

/** Runs the program of `npm start` like a first-time user: in an empty folder, with only free ports set. */
async function startForTheFirstTime(t: Test): Promise<FirstRun> {
  const { scripts } = JSON.parse(readFileSync(new URL('package.json', root), 'utf8'))
  const [program, ...options] = scripts.start.replace(/^exec /, '').split(' ')
  const script = options.pop()
  t.equal(program, 'node')
  const folder = temporaryFolder(t)
  const [port, managementPort] = [await freePort(), await freePort()]
  const child = spawn(process.execPath, [...options, fileURLToPath(new URL(script, root))], {
    cwd: folder,
    env: { PORT: String(port), MANAGEMENT_PORT: String(managementPort) },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  let banner = ''
  await new Promise<void>((resolve, reject) => {
    child.stdout.on('data', (chunk) => {
      banner += chunk
      if (/\/logout .*\n.*\n\n/.test(banner)) resolve()
    })
    child.once('exit', () => reject(new Error(`it did not start:\n${banner}`)))
  })
  return { folder, url: `http://localhost:${port}`, managementUrl: `http://localhost:${managementPort}`, banner }
}

/** Runs commands in a shell and returns their output. The first failure ends the shell. */
async function paste(commands: string, folder: string): Promise<string> {
  const { stdout } = await promisify(execFile)('bash', ['-euo', 'pipefail', '-c', commands], { cwd: folder })
  return stdout
}

test('the commands that a first start prints work when they are pasted', async (t) => {
  const { folder, banner, url } = await startForTheFirstTime(t)
  t.match(banner, `Latchkey runs at ${url}, and its API page is ${url}/docs`)
  t.match(banner, 'Accounts are in data/latchkey.db, sessions are there too')
  t.match(banner, 'Development secrets are in data/development-secrets.json')
  t.equal((await fetch(`${url}/docs`)).status, 200)

  const commands = banner.split('\n').filter((line) => line.startsWith('  '))
  t.equal(commands.length, 5)
  const output = await paste(commands.join('\n'), folder)
  t.match(output, /^\{"id":"[^"]+","username":"ada","created_at":\d+\}\{"active":true,.*\}\{"active":false\}$/)
})

test('the commands of the README work when they are pasted', async (t) => {
  const { folder, url } = await startForTheFirstTime(t)
  const commands = [...README.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block]) => block).join('')
  for (const path of ['/users', '/login', '/introspect', '/refresh', '/logout']) t.match(commands, `:3000${path}`)

  const output = await paste(commands.replaceAll('http://localhost:3000', url), folder)
  t.match(output, /^\{"id":"[^"]+","username":"grace",.*\}\{"active":true,.*"username":"grace".*\}\{"active":false\}$/)
})

test('the commands of docs/getting-started.md work when they are pasted, and print what the page says', async (t) => {
  const page = readFileSync(new URL('docs/getting-started.md', root), 'utf8')
  const { folder, url, managementUrl } = await startForTheFirstTime(t)
  const commands = [...page.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block]) => block).join('')
  const here = commands.replaceAll('http://localhost:3000', url).replaceAll('http://localhost:9000', managementUrl)

  const output = await paste(here, folder)
  const said = [...commands.matchAll(/^# (.*)$/gm)].map(([, line = '']) => line)
  t.ok(said.length >= 5)
  let from = 0
  for (const line of said) {
    // An ellipsis matches any text.
    for (const part of line.split('…')) {
      const at = output.indexOf(part, from)
      t.ok(at >= 0, `it prints ${part}`)
      from = Math.max(from, at)
    }
  }
})

test('the README has both commands, and every route of the service', async (t) => {
  t.match(README, /^ {4}npm ci && npm start$/m)
  t.match(README, /^ {4}npm ci && npm test$/m)
  const { url } = await startForTheFirstTime(t)
  const { paths } = (await (await fetch(`${url}/openapi.json`)).json()) as { paths: Record<string, object> }
  for (const [path, methods] of Object.entries(paths)) {
    for (const method of Object.keys(methods)) t.match(README, `\`${method.toUpperCase()} ${path}\``)
  }
})
