import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { parseDocument } from 'yaml'

/** What a release has for Kubernetes: the folder k8s/ as an archive, and the production overlay as `kubectl apply` takes it. */
export const ARCHIVE = 'latchkey-k8s.tar.gz'
export const PRODUCTION = 'latchkey-production.yaml'

/**
 * Writes both files into a folder. Their images are the image of the release, by its digest: a tag can be moved.
 *
 * @param image as `ghcr.io/owner/latchkey@sha256:…`
 * @param kustomize the program that renders, with its arguments
 */
export function writeManifests(
  root: string,
  image: string,
  into: string,
  kustomize: readonly string[] = ['kubectl', 'kustomize'],
): void {
  const [, newName, digest] = /^([^@\s]+)@(sha256:[0-9a-f]{64})$/.exec(image) ?? []
  if (!newName || !digest) throw new Error(`${image} has no digest: send NAME@sha256: and 64 hexadecimal digits`)
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-manifests-'))
  try {
    // The trial keeps its generated secrets there.
    const filter = (path: string) => basename(path) !== 'secrets'
    cpSync(join(root, 'k8s'), join(folder, 'k8s'), { recursive: true, filter })
    for (const overlay of ['production', 'trial']) {
      const file = join(folder, 'k8s/overlays', overlay, 'kustomization.yaml')
      const kustomization = parseDocument(readFileSync(file, 'utf8'))
      kustomization.setIn(['images'], [{ name: 'latchkey', newName, digest }])
      writeFileSync(file, kustomization.toString({ lineWidth: 0 }))
    }
    mkdirSync(into, { recursive: true })
    execFileSync('tar', ['-czf', join(into, ARCHIVE), '-C', folder, 'k8s'])
    const [program = '', ...args] = kustomize
    writeFileSync(join(into, PRODUCTION), execFileSync(program, [...args, join(folder, 'k8s/overlays/production')]))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
