import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { createPasswordHashing } from '../src/users/password.js'
import { createUsers } from '../src/users/users.js'
import { FORM, load } from './load.js'
import { type Pair, pairs } from './measure.js'
import type { Setting } from './setting.js'

const SECONDS = 3
const PASSWORD = 'correct horse battery staple'
const ACCOUNTS = 100

/** Sign-ins a second by one core, and what argon2id alone reaches on it. */
export async function measureSignIns(setting: Setting, rounds: number): Promise<Pair> {
  const { database, close } = await setting.openStores()
  const users = createUsers(database, createPasswordHashing({ concurrency: 2, queue: ACCOUNTS }))
  const names = Array.from({ length: ACCOUNTS }, (_, i) => `bench-${i}`)
  await Promise.all(names.map((name) => users.create(name, PASSWORD)))
  await close()
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
