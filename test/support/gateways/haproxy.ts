import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { freePort } from '../servers/ports.js'
import { JWT_SECRET } from '../service.js'
import { exampleConfiguration, exampleUrl, gatewayFolder, startProgram } from './program.js'
import type { GatewayTargets } from './rules.js'

/** HAProxy with the example. A test may change the example first to show the consequence. */
export async function startHaproxy(
  t: Test,
  { latchkey, app }: GatewayTargets,
  change: (file: string) => string = (file) => file,
): Promise<string> {
  const port = await freePort()
  const file = exampleConfiguration('haproxy.cfg', {
    'bind :8000': `bind 127.0.0.1:${port}`,
    '127.0.0.1:3000': latchkey,
    '127.0.0.1:8080': app,
    'lua-load latchkey.lua': `lua-load ${fileURLToPath(exampleUrl('latchkey.lua'))}`,
  })
  const path = join(gatewayFolder(t), 'haproxy.cfg')
  writeFileSync(path, change(file))
  await startProgram(t, 'haproxy', ['-db', '-f', path], { port, env: { JWT_SECRET } })
  return `http://127.0.0.1:${port}`
}
