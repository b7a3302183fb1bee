import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { t as suite, test } from 'tap'
import { ROOT } from '../support/consumer.js'
import { eventually } from '../support/eventually.js'
import { killGroup } from '../support/process-group.js'
import { freePort } from '../support/servers/ports.js'
import { environment, temporaryFolder } from '../support/service.js'

/** The processes of a process group, from /proc: of Linux, which has the name in parentheses before the other fields. */
function membersOf(group: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        const [state, , pgrp] = readFileSync(`/proc/${pid}/stat`, 'utf8')
          .replace(/^.*\) /s, '')
          .split(' ')
        return Number(pgrp) === group && state !== 'Z'
      } catch {
        return false
      }
    })
}

/** A checkout after `npm ci`: nothing is built. The first `npm start` builds it. */
function newCheckout(): string {
  const folder = temporaryFolder(suite)
  const files = ['package.json', 'tsconfig.base.json', 'tsconfig.json', 'tsconfig.service.json']
  for (const name of [...files, 'bin', 'console', 'schemas', 'src', 'verifier']) {
    cpSync(join(ROOT, name), join(folder, name), {
      recursive: true,
      filter: (path) => path !== join(ROOT, 'verifier/dist'),
    })
  }
  const modules = join(folder, 'node_modules')
  mkdirSync(join(modules, '@latchkey'), { recursive: true })
  symlinkSync(join(folder, 'verifier'), join(modules, '@latchkey/verifier'))
  for (const name of readdirSync(join(ROOT, 'node_modules'))) {
    if (name !== '@latchkey') symlinkSync(join(ROOT, 'node_modules', name), join(modules, name))
  }
  return folder
}

const checkout = newCheckout()

/** Milliseconds. Ten seconds on a fast machine, more than a minute on a slow and busy one. */
const BUILD_TIME = 300_000

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  test(`npm start builds what it runs, and ends with all its processes at ${signal}: no orphan keeps the port`, async (t) => {
    const [port, managementPort] = [await freePort(), await freePort()]
    const env = { ...(await environment(t, 'sqlite')), PORT: String(port), MANAGEMENT_PORT: String(managementPort) }
    const npm = spawn('npm', ['start'], {
      cwd: checkout,
      env: { PATH: process.env.PATH, HOME: process.env.HOME, ...env },
      stdio: ['ignore', 'pipe', 'ignore'],
      detached: true,
    })
    const group = npm.pid as number
    t.teardown(() => killGroup(npm))
    let output = ''
    npm.stdout.on('data', (chunk) => {
      output += chunk
    })
    const isAlive = async () => {
      if (npm.exitCode !== null) throw new Error(`npm start ended: ${output}`)
      return (await fetch(`http://127.0.0.1:${managementPort}/livez`).catch(() => undefined))?.ok === true
    }
    await eventually(isAlive, BUILD_TIME)
    t.ok(membersOf(group).length >= 2, 'npm and the service')
    const exited = once(npm, 'exit')
    // To npm alone, as a supervisor does that knows only its child.
    npm.kill(signal)
    await exited
    // A shell between npm and the service would not forward the signal.
    await eventually(() => membersOf(group).length === 0)
    await t.rejects(fetch(`http://127.0.0.1:${managementPort}/livez`))
  })
}
