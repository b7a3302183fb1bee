import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { freePort } from '../servers/ports.js'
import { exampleConfiguration, gatewayFolder, startProgram } from './program.js'
import type { GatewayTargets } from './rules.js'

/** Caddy with the example. A test may change the example first to show the consequence. */
export async function startCaddy(
  t: Test,
  { latchkey, app }: GatewayTargets,
  change: (file: string) => string = (file) => file,
): Promise<string> {
  const port = await freePort()
  const file = exampleConfiguration('Caddyfile', {
    ':8000': `http://127.0.0.1:${port}`,
    '127.0.0.1:3000': latchkey,
    '127.0.0.1:8080': app,
  })
  await runCaddy(t, change(file), port)
  return `http://127.0.0.1:${port}`
}

/** Caddy in front of the service, for a gateway that needs TLS. */
export async function startTls(t: Test, latchkey: string): Promise<{ host: string; authority: string }> {
  const port = await freePort()
  const site = `https://localhost:${port} {\n\tbind 127.0.0.1\n\ttls internal\n\treverse_proxy ${latchkey}\n}\n`
  const folder = await runCaddy(t, site, port)
  return { host: `localhost:${port}`, authority: join(folder, 'caddy/pki/authorities/local/root.crt') }
}

/** Returns the folder of its data. */
async function runCaddy(t: Test, file: string, port: number): Promise<string> {
  const folder = gatewayFolder(t)
  const path = join(folder, 'Caddyfile')
  // The certificate authority of the test does not enter the trust store of the machine.
  writeFileSync(path, `{\n\tadmin off\n\tskip_install_trust\n\tauto_https disable_redirects\n}\n${file}`)
  const env = { HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder }
  await startProgram(t, 'caddy', ['run', '--config', path, '--adapter', 'caddyfile'], { port, env })
  return folder
}
