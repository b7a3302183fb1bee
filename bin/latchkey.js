#!/usr/bin/env node
// npm links this file when it installs the packages, before there is a build. A link to a missing file stays broken after it.
import { existsSync } from 'node:fs'

const program = new URL('../dist/src/cli/main.js', import.meta.url)
if (existsSync(program)) {
  await import(program.href)
} else {
  process.stderr.write('latchkey: the command line is not built: run npm run build\n')
  process.exitCode = 1
}
