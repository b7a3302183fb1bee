import { join } from 'node:path'
import ts from 'typescript'
import { type Manifest, root } from './kustomize.js'

/**
 * The type errors of manifests, by the types of the Kubernetes API (`kubernetes-models`): unknown fields, missing
 * fields, wrong types. The compiler checks them, because the validators of the package accept unknown fields.
 */
export function manifestFaults(manifests: readonly Manifest[]): string[] {
  const source = manifests
    .map((manifest, index) => {
      const { apiVersion, kind } = manifest
      const module = apiVersion.startsWith('monitoring.')
        ? `@kubernetes-models/prometheus-operator/${apiVersion}`
        : `kubernetes-models/${apiVersion}`
      return `export const _${index}: import('${module}').I${kind} = ${JSON.stringify(manifest)}`
    })
    .join('\n')
  const path = join(root, 'test/deploy/manifests.generated.ts')
  const options: ts.CompilerOptions = {
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    types: [],
    target: ts.ScriptTarget.ES2023,
    module: ts.ModuleKind.NodeNext,
  }
  const host = ts.createCompilerHost(options)
  const { getSourceFile, fileExists } = host
  host.fileExists = (file) => file === path || fileExists(file)
  host.getSourceFile = (file, ...more) =>
    file === path ? ts.createSourceFile(file, source, ts.ScriptTarget.ES2023) : getSourceFile(file, ...more)
  const program = ts.createProgram([path], options, host)
  return ts.getPreEmitDiagnostics(program).map(({ messageText, start, file }) => {
    const line = file && start !== undefined ? file.getLineAndCharacterOfPosition(start).line : 0
    const { kind, metadata } = manifests[line] ?? { kind: '?', metadata: { name: '?' } }
    return `${kind} ${metadata.name}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`
  })
}
