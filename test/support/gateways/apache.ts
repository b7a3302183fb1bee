import { chmodSync, copyFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { APACHE_MODULES } from '../servers/install.js'
import { freePort } from '../servers/ports.js'
import { startTls } from './caddy.js'
import { exampleConfiguration, gatewayFolder, startProgram } from './program.js'
import { GATEWAY_CLIENT, type GatewayTargets } from './rules.js'

/**
 * Starts Apache with mod_oauth2. Its only site is `examples/gateways/apache-oauth2.conf`. A test may change the file first, to
 * show what goes wrong without one of its lines.
 */
export async function startApacheOauth2(
  t: Test,
  { latchkey, app }: GatewayTargets,
  change: (site: string) => string = (site) => site,
): Promise<string> {
  const port = await freePort()
  const site = exampleConfiguration('apache-oauth2.conf', {
    ...listening(port),
    '127.0.0.1:3000': latchkey,
    '127.0.0.1:8080': app,
  })
  // mod_oauth2 writes its options like a query.
  return runApache(t, { port, site: change(site), module: 'oauth2', secret: encodeURIComponent(GATEWAY_CLIENT.secret) })
}

/** Apache with mod_auth_openidc, which introspects only over TLS. */
export async function startApacheOpenidc(
  t: Test,
  { latchkey, app }: GatewayTargets,
  change: (site: string) => string = (site) => site,
): Promise<string> {
  const { host, authority } = await startTls(t, latchkey)
  // Apache must be able to read the file after it drops root.
  const trusted = join(gatewayFolder(t), 'root.crt')
  copyFileSync(authority, trusted)
  chmodSync(trusted, 0o644)
  const port = await freePort()
  const site = exampleConfiguration('apache-openidc.conf', {
    ...listening(port),
    'auth.example.com': host,
    '127.0.0.1:8080': app,
  })
  const trusting = `${change(site)}\nOIDCCABundlePath ${trusted}\n`
  return runApache(t, { port, site: trusting, module: 'auth_openidc', secret: GATEWAY_CLIENT.secret })
}

const listening = (port: number) => ({
  'Listen 8000': `Listen 127.0.0.1:${port}`,
  '*:8000': `127.0.0.1:${port}`,
})

const MODULES = [
  'mpm_event',
  'authn_core',
  'authz_core',
  'authz_user',
  'setenvif',
  'headers',
  'rewrite',
  'proxy',
  'proxy_http',
]

async function runApache(
  t: Test,
  { port, site, module, secret }: { port: number; site: string; module: string; secret: string },
): Promise<string> {
  const folder = gatewayFolder(t)
  const modules = [...MODULES, module].map((name) => `LoadModule ${name}_module ${APACHE_MODULES}/mod_${name}.so`)
  const isRoot = process.getuid?.() === 0
  writeFileSync(join(folder, 'site.conf'), site)
  // The content of Debian's apache2.conf, in its own folder.
  const lines = [
    `ServerRoot ${folder}`,
    'ServerName localhost',
    `PidFile ${join(folder, 'pid')}`,
    `DefaultRuntimeDir ${folder}`,
    `ErrorLog ${join(folder, 'error.log')}`,
    ...(isRoot ? ['User www-data', 'Group www-data'] : []),
    'StartServers 1',
    ...modules,
    `Define GATEWAY_SECRET "${secret}"`,
    `Include ${join(folder, 'site.conf')}`,
  ]
  writeFileSync(join(folder, 'httpd.conf'), lines.join('\n'))
  await startProgram(t, 'apache2', ['-D', 'FOREGROUND', '-f', join(folder, 'httpd.conf')], { port })
  return `http://127.0.0.1:${port}`
}
