import { execFile } from 'node:child_process'
import { cpSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { TAP } from 'tap'
import { temporaryFolder } from './service.js'

export const run = promisify(execFile)
export const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
export const TSC = join(ROOT, 'node_modules/typescript/bin/tsc')

/** Packs the verifier. Returns the path of the archive. */
export async function packVerifier(suite: TAP): Promise<string> {
  const folder = temporaryFolder(suite)
  const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', folder, '--workspace', 'verifier'], {
    cwd: ROOT,
  })
  const [{ filename }] = JSON.parse(stdout.slice(stdout.indexOf('[')))
  return join(folder, filename)
}

/**
 * A foreign project with the files of a folder, its dependencies, and the packed verifier. Its own compiler options apply, not
 * those of this project.
 */
export async function installConsumer(suite: TAP, archive: string, folder: string): Promise<string> {
  const project = temporaryFolder(suite)
  writeFileSync(join(project, 'package.json'), '{"private":true}')
  cpSync(join(ROOT, 'test/verifier', folder), project, { recursive: true })
  const options = ['--prefer-offline', '--ignore-scripts', '--no-audit', '--no-fund']
  await run('npm', ['install', ...options, archive], { cwd: project })
  return project
}
