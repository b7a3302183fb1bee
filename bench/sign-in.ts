import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { createAccounts, PASSWORD } from './accounts.js'
import { FORM, load } from './load.js'
import { type Pair, pairs } from './measure.js'
import type { Setting } from './setting.js'

const SECONDS = 2
const ACCOUNTS = 100

/** Sign-ins a second by one core, and what argon2id alone reaches on it. */
export async function measureSignIns(setting: Setting, rounds: number): Promise<Pair> {
  const names = await createAccounts(setting, ACCOUNTS)
  const bodies = join(setting.folder, 'sign-ins')
  writeFileSync(bodies, names.map((name) => `username=${name}&password=${encodeURIComponent(PASSWORD)}\n`).join(''))

  const service = await setting.startService()
  const signIn = load(service, { path: '/login', script: 'post.lua', args: [bodies, '-', FORM], connections: 8 })
  const script = fileURLToPath(new URL('./argon2.js', import.meta.url))
  const bare = async () => {
    const { stdout } = await promisify(execFile)('taskset', ['-c', '0', process.execPath, script, String(SECONDS)])
    return Number(stdout)
  }
  const pair = await pairs(rounds, async () => (await signIn(SECONDS)).throughput, bare)
  await service.stop()
  return pair
}
