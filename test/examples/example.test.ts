import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { test } from 'tap'
import { freePort } from '../support/servers/ports.js'
import { temporaryFolder } from '../support/service.js'

const script = fileURLToPath(new URL('../../../examples/todo/dist/example.js', import.meta.url))

test('npm run example starts both services and prints the address; Ctrl-C stops both', async (t) => {
  const folder = temporaryFolder(t)
  const child = spawn(process.execPath, [script], {
    env: { PATH: process.env.PATH, EXAMPLE_DATA: folder, PORT: String(await freePort()) },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  t.teardown(() => child.kill('SIGTERM'))
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk))
  while (!output.includes('Ctrl-C') && child.exitCode === null) await once(child.stdout, 'data')
  const [page, docs] = [...output.matchAll(/http:\/\/localhost:\S+/g)].map(([address]) => address) as [string, string]

  t.match(await (await fetch(page)).text(), '<title>Todo')
  t.equal((await fetch(docs)).status, 200)
  const login = await fetch(`${page}/auth/login`, { method: 'POST', body: new URLSearchParams({ username: 'ada' }) })
  t.match(await login.json(), { error_description: 'password is missing' })
  t.equal(statSync(`${folder}/secrets.json`).mode & 0o777, 0o600)

  const exited = once(child, 'exit')
  child.kill('SIGINT')
  t.strictSame(await exited, [0, null])
  for (const address of [page, docs]) await t.rejects(fetch(address))
})
