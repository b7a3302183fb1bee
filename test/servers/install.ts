import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'

const NEEDED = [
  { program: 'redis-server', package: 'redis-server', folders: [] },
  { program: 'chromium', package: 'chromium', folders: [] },
  // Debian keeps the server's programs off the PATH.
  { program: 'postgres', package: 'postgresql', folders: ['/usr/lib/postgresql/15/bin', '/usr/lib/postgresql/17/bin'] },
]

/** Installs the servers that the tests start, where they are missing: as root on Debian. Elsewhere it says what to install. */
export function installServers(): void {
  const missing = NEEDED.filter(({ program, folders }) => !locate(program, folders)).map(({ package: name }) => name)
  if (missing.length === 0) return
  if (process.getuid?.() !== 0 || !locate('apt-get', [])) {
    process.stderr.write(`The tests start real servers of their own. Install first: ${missing.join(', ')}\n`)
    process.exit(1)
  }
  process.stdout.write(`Installing what the tests need: ${missing.join(', ')}\n`)
  const apt = (...args: string[]) =>
    execFileSync('apt-get', args, {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    })
  apt('update', '-qq')
  apt('install', '-y', '-qq', '--no-install-recommends', ...missing)
}

/** The path of a program, or undefined. */
export function locate(program: string, folders: readonly string[]): string | undefined {
  return [...(process.env.PATH ?? '').split(delimiter), ...folders]
    .map((folder) => join(folder, program))
    .find((path) => existsSync(path))
}

/** The path of one of Postgres's own programs. */
export function postgresProgram(program: string): string {
  const path = locate(program, NEEDED.find(({ program }) => program === 'postgres')?.folders ?? [])
  if (!path) throw new Error(`${program} is not installed`)
  return path
}
