import { execFileSync } from 'node:child_process'
import { existsSync, rmSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'

export const APACHE_MODULES = '/usr/lib/apache2/modules'

// Debian does not put the programs of Postgres on the PATH.
const POSTGRES = {
  program: 'postgres',
  package: 'postgresql',
  folders: ['/usr/lib/postgresql/15/bin', '/usr/lib/postgresql/17/bin'],
}

const REDIS = { program: 'redis-server', package: 'redis-server', folders: [] }
const STORES = [REDIS, POSTGRES]

const OTHERS = [
  // Chromium without its windows: a page costs half the CPU.
  { program: 'chromium-headless-shell', package: 'chromium-headless-shell', folders: [] },
  // It reads the scripts of the workflows.
  { program: 'shellcheck', package: 'shellcheck', folders: [] },
  // The commands of docs/operate.md.
  { program: 'sqlite3', package: 'sqlite3', folders: [] },
  // The commands of docs/accounts.md.
  { program: 'jq', package: 'jq', folders: [] },
  {
    program: 'libfaketime.so.1',
    package: 'libfaketime',
    folders: ['/usr/lib/x86_64-linux-gnu/faketime', '/usr/lib/aarch64-linux-gnu/faketime'],
  },
  // The examples in examples/verify.
  { program: 'go', package: 'golang-go', folders: [] },
  { program: 'python3', package: 'python3', folders: ['/usr/bin'] },
  { program: 'cryptography', package: 'python3-cryptography', folders: ['/usr/lib/python3/dist-packages'] },
  { program: 'pgbouncer', package: 'pgbouncer', folders: ['/usr/sbin'] },
  // The recipes of docs/other-languages.md.
  { program: 'jwt/api_jwt.py', package: 'python3-jwt', folders: ['/usr/lib/python3/dist-packages'] },
  {
    program: 'jwt/claims.go',
    package: 'golang-github-golang-jwt-jwt-dev',
    folders: ['/usr/share/gocode/src/github.com/golang-jwt'],
  },
  // Its promtool checks the alert rules.
  { program: 'promtool', package: 'prometheus', folders: [] },
  // The gateways of examples/gateways. Apache is installed without its system service.
  ...[
    { program: 'nginx', package: 'nginx' },
    { program: 'caddy', package: 'caddy' },
    { program: 'haproxy', package: 'haproxy' },
    { program: 'apache2', package: 'apache2-bin' },
    { program: 'mod_oauth2.so', package: 'libapache2-mod-oauth2' },
    { program: 'mod_auth_openidc.so', package: 'libapache2-mod-auth-openidc' },
  ].map((gateway) => ({ ...gateway, folders: ['/usr/sbin', APACHE_MODULES] })),
]

const PROGRAMS = {
  /** For `npm test`. */
  stores: STORES,
  /** For `npm run test:all`. */
  all: [...STORES, ...OTHERS],
  /** For `npm run bench`. */
  bench: [REDIS, { program: 'wrk', package: 'wrk', folders: [] }],
}

/** Installs the missing programs as root on Debian. Elsewhere it says what to install. */
export function installPrograms(which: keyof typeof PROGRAMS): void {
  const missing = PROGRAMS[which]
    .filter(({ program, folders }) => !locate(program, folders))
    .map(({ package: name }) => name)
  if (missing.length === 0) return
  if (process.getuid?.() !== 0 || !locate('apt-get', [])) {
    process.stderr.write(`This command starts real servers of its own. Install first: ${missing.join(', ')}\n`)
    process.exit(1)
  }
  process.stdout.write(
    `This command starts real servers. These packages are missing, and are installed now with apt-get: ${missing.join(', ')}\n`,
  )
  const apt = (...args: string[]) =>
    execFileSync('apt-get', args, {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    })
  apt('update', '-qq')
  withoutServices(() => apt('install', '-y', '-qq', '--no-install-recommends', ...missing))
}

/** Debian starts a server when it is installed, on port 80 or 5432. A policy file prevents this. */
function withoutServices(install: () => void): void {
  const policy = '/usr/sbin/policy-rc.d'
  const isOurs = !existsSync(policy)
  if (isOurs) writeFileSync(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 })
  try {
    install()
  } finally {
    if (isOurs) rmSync(policy)
  }
}

/** The path of a program, or undefined. */
export function locate(program: string, folders: readonly string[]): string | undefined {
  return [...(process.env.PATH ?? '').split(delimiter), ...folders]
    .map((folder) => join(folder, program))
    .find((path) => existsSync(path))
}

/** The path of a gateway's program. */
export function gatewayProgram(program: string): string {
  const path = locate(program, ['/usr/sbin'])
  if (!path) throw new Error(`${program} is not installed: run the tests by \`npm test\``)
  return path
}

/** The path of a Postgres program. */
export function postgresProgram(program: string): string {
  const path = locate(program, POSTGRES.folders)
  if (!path) throw new Error(`${program} is not installed`)
  return path
}
