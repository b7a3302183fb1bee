import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'tap'
import { readConfig } from '../../src/config/read.js'
import { makeCertificates } from '../support/servers/certificates.js'
import { locate } from '../support/servers/install.js'
import { DATA_SECRET, JWT_SECRET, REFRESH_SECRET, temporaryFolder } from '../support/service.js'

const root = fileURLToPath(new URL('../../../', import.meta.url))
const page = readFileSync(`${root}docs/bare-metal.md`, 'utf8')

test('the settings of docs/bare-metal.md are a production configuration without a fault', async (t) => {
  const folder = temporaryFolder(t)
  const { certificate, key } = makeCertificates(folder)
  const files: Record<string, string> = { tls_cert: certificate, tls_key: key }
  for (const [name, text] of Object.entries({ jwt: JWT_SECRET, refresh: REFRESH_SECRET, data: DATA_SECRET })) {
    writeFileSync(join(folder, name), text)
  }
  for (const [, text, name] of page.matchAll(/echo '(.*)' > \/etc\/latchkey\/(\w+)/g)) {
    writeFileSync(join(folder, name as string), text as string)
  }
  const env: Record<string, string> = {}
  for (const [, name = '', value = ''] of page.matchAll(/^ {4}([A-Z_]+)=(\S+)$/gm)) env[name] = value
  t.ok(Object.keys(env).length >= 11)
  for (const [name, value] of Object.entries(env)) {
    if (name.endsWith('_FILE')) env[name] = join(folder, value.slice('/etc/latchkey/'.length))
  }
  const here = { ...env, TLS_CERT_FILE: files.tls_cert, TLS_KEY_FILE: files.tls_key }
  const config = readConfig(here)
  t.match(config, { production: true, redis: { mode: 'single' } })
  t.strictSame(config.missing, [])
})

test('systemd accepts the unit, and its program is the one of npm start', async (t) => {
  const unit = readFileSync(`${root}examples/systemd/latchkey.service`, 'utf8')
  const { scripts } = JSON.parse(readFileSync(`${root}package.json`, 'utf8'))
  t.match(unit, `ExecStart=/usr/bin/${scripts.start.replace('exec ', '')}\n`)
  if (!locate('systemd-analyze', [])) return t.comment('systemd-analyze is not installed: the unit is not verified')
  const path = join(temporaryFolder(t), 'latchkey.service')
  writeFileSync(path, unit.replace('/usr/bin/node', process.execPath))
  execFileSync('systemd-analyze', ['verify', '--man=no', '--recursive-errors=no', path], { stdio: 'pipe' })
})
