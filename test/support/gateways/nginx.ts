import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { freePort } from '../servers/ports.js'
import { exampleConfiguration, gatewayFolder, startProgram } from './program.js'
import type { GatewayTargets } from './rules.js'

/** nginx with the example as its only site. A test may change the example first to show the consequence. */
export async function startNginx(
  t: Test,
  { latchkey, app }: GatewayTargets,
  change: (site: string) => string = (site) => site,
): Promise<string> {
  const port = await freePort()
  const folder = gatewayFolder(t)
  const site = exampleConfiguration('nginx.conf', {
    'listen 8000': `listen 127.0.0.1:${port}`,
    '127.0.0.1:3000': latchkey,
    '127.0.0.1:8080': app,
  })
  writeFileSync(join(folder, 'site.conf'), change(site))
  // Debian's nginx.conf without its files in /var and /run.
  const kept = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((kind) => {
    mkdirSync(join(folder, kind))
    return `${kind}_temp_path ${join(folder, kind)};`
  })
  const isRoot = process.getuid?.() === 0
  const lines = [
    isRoot ? 'user www-data;' : '',
    `daemon off; pid ${join(folder, 'pid')}; error_log stderr;`,
    'events {}',
    `http { access_log off; ${kept.join(' ')} include ${join(folder, 'site.conf')}; }`,
  ]
  writeFileSync(join(folder, 'nginx.conf'), lines.join('\n'))
  await startProgram(t, 'nginx', ['-p', folder, '-c', join(folder, 'nginx.conf')], { port })
  return `http://127.0.0.1:${port}`
}
