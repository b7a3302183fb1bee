import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { createAccounts, writeSignIns } from './accounts.js'
import { FORM_TYPE, load } from './load.js'
import { type Comparison, measurePair } from './measure.js'
import type { Setting } from './setting.js'

const SECONDS = 2
const ACCOUNTS = 100

export interface SignIns {
  /** The default on two cores: one hashes one password at a time. The other runs the service, Redis and the load. */
  beside: Comparison
  /** Everything on the core that hashes. */
  within: Comparison
}

/** Measures sign-ins a second, and the passwords a second that argon2id alone checks on the same cores, one at a time. */
export async function measureSignIns(setting: Setting, rounds: number): Promise<SignIns> {
  const bodies = writeSignIns(setting, await createAccounts(setting, ACCOUNTS))
  const measure = async (cores: string) => {
    const service = await setting.startService(undefined, cores)
    const signIn = load(service, { path: '/login', script: 'post.lua', args: [bodies, '-', FORM_TYPE], connections: 8 })
    const script = fileURLToPath(new URL('./argon2.js', import.meta.url))
    const bare = async () => {
      const { stdout } = await promisify(execFile)('taskset', ['-c', cores, process.execPath, script, String(SECONDS)])
      return Number(stdout)
    }
    const pair = await measurePair(rounds, async () => (await signIn(SECONDS)).throughput, bare)
    await service.stop()
    return pair
  }
  return { beside: await measure('0,1'), within: await measure('0') }
}
