// Adds to the package what a checkout has elsewhere: the licence, the changelog and the CommonJS build.
import { execFileSync } from 'node:child_process'
import { chmodSync, copyFileSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const path = (name) => fileURLToPath(new URL(name, import.meta.url))

for (const name of ['LICENSE', 'CHANGELOG.md']) copyFileSync(path(`../${name}`), path(name))
rmSync(path('dist/cjs'), { recursive: true, force: true })
execFileSync(process.execPath, [path('../node_modules/typescript/bin/tsc'), '-p', path('tsconfig.cjs.json')], {
  stdio: 'inherit',
})
// Without it, Node would read these files as ES modules.
writeFileSync(path('dist/cjs/package.json'), '{ "type": "commonjs" }\n')
chmodSync(path('dist/sidecar/main.js'), 0o755)
