import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { test } from 'tap'
import { eventually } from '../support/eventually.js'
import { killGroup } from '../support/process-group.js'
import { freePort } from '../support/servers/ports.js'
import { environment } from '../support/service.js'

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

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  test(`npm start ends with all its processes at ${signal}: no orphan keeps the port`, async (t) => {
    const [port, managementPort] = [await freePort(), await freePort()]
    const env = { ...(await environment(t, 'sqlite')), PORT: String(port), MANAGEMENT_PORT: String(managementPort) }
    // Without `prestart`, which builds: the other tests run what it would write.
    const npm = spawn('npm', ['start', '--ignore-scripts'], {
      cwd: fileURLToPath(new URL('../../../', import.meta.url)),
      env: { PATH: process.env.PATH, HOME: process.env.HOME, ...env },
      stdio: 'ignore',
      detached: true,
    })
    const group = npm.pid as number
    t.teardown(() => killGroup(npm))
    await eventually(
      async () => (await fetch(`http://127.0.0.1:${managementPort}/livez`).catch(() => undefined))?.ok === true,
    )
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
