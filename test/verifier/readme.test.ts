import { spawn } from 'node:child_process'
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Test, test } from 'tap'
import { Api } from '../support/api.js'
import { countAcceptedLate, eventually } from '../support/eventually.js'
import { freePort } from '../support/servers/ports.js'
import { PASSWORD, temporaryFolder } from '../support/service.js'

const root = fileURLToPath(new URL('../../../', import.meta.url))

function run(t: Test, args: string[], cwd: string, env: Record<string, string>) {
  const child = spawn(process.execPath, args, { cwd, env: { PATH: process.env.PATH, ...env } })
  t.teardown(() => child.kill('SIGKILL'))
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk))
  return () => output
}

const answers = (url: string) => () =>
  fetch(url).then(
    () => true,
    () => false,
  )

test('npm start, and the Express service of the README: a sign-out closes it within a second', async (t) => {
  const [port, managementPort, appPort] = [await freePort(), await freePort(), await freePort()]
  const folder = temporaryFolder(t)
  const url = `http://localhost:${port}`
  run(t, [join(root, 'dist/src/server.js')], folder, { PORT: String(port), MANAGEMENT_PORT: String(managementPort) })
  await eventually(answers(`http://localhost:${managementPort}/readyz`))
  const { client } = JSON.parse(readFileSync(join(folder, 'data/development-secrets.json'), 'utf8'))

  const readme = readFileSync(join(root, 'verifier/README.md'), 'utf8')
  const app = /```js\n(.*?)```/s.exec(readme)?.[1] ?? ''
  writeFileSync(join(folder, 'app.mjs'), app.replaceAll('http://localhost:3000', url))
  mkdirSync(join(folder, 'node_modules/@latchkey'), { recursive: true })
  symlinkSync(join(root, 'verifier'), join(folder, 'node_modules/@latchkey/verifier'))
  symlinkSync(join(root, 'node_modules/express'), join(folder, 'node_modules/express'))
  const output = run(t, ['app.mjs'], folder, { CLIENT_SECRET: client.secret, PORT: String(appPort) })
  await eventually(answers(`http://localhost:${appPort}/`))

  const api = new Api(url, client)
  await api.signUp('ada', PASSWORD)
  const [one, other] = [await api.tokens('ada', PASSWORD), await api.tokens('ada', PASSWORD)]
  const express = new Api(`http://localhost:${appPort}`, client)
  const status = async (bearer?: string) => (await express.call('/', bearer === undefined ? {} : { bearer })).status
  t.equal(await status(), 401)
  t.equal(await status(one.access_token), 200)
  t.equal(await status(other.access_token), 200)
  t.equal((await express.call('/admin', { bearer: one.access_token })).status, 403)
  t.equal((await api.logout(one.access_token)).status, 204)
  t.equal(await countAcceptedLate(async () => (await status(one.access_token)) !== 200), 0)
  await eventually(async () => (await status(one.access_token)) === 401)
  t.equal(await status(other.access_token), 200)
  t.match(output(), 'refused: revoked')
})
