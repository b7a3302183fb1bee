import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { feedKey } from '@latchkey/verifier/redis-keys'
import { Redis } from 'ioredis'
import type { BenchRedis } from './bench-redis.js'
import { openSessions, seedFeed } from './follow-sessions.js'
import type { FollowerStart } from './follow-start.js'

const REVOCATIONS = Number(process.env.BENCH_WINDOW ?? 1_000_000)

/** Measures the start and the memory of a follower after many revocations in the last 15 minutes. */
export async function measureWindow(redis: BenchRedis): Promise<void> {
  await seedFeed(redis.url)
  const admin = new Redis(redis.url)
  const start = Date.now() - 14 * 60_000
  for (let i = 0; i < REVOCATIONS; i += 5000) {
    const some = admin.pipeline()
    for (let j = i; j < i + 5000; j += 1) {
      const at = start + Math.floor((j / REVOCATIONS) * 13.5 * 60_000)
      some.xadd(feedKey, `${at}-${j}`, 'sid', randomBytes(16).toString('base64url'))
    }
    await some.exec()
  }
  const bytes = (await admin.memory('USAGE', feedKey, 'SAMPLES', 0)) ?? 0
  const line = (text: string) => process.stdout.write(`window     ${text}\n`)
  line(`${REVOCATIONS} revocations take ${(bytes / 2 ** 20).toFixed(0)} MB in Redis`)
  const sessions = await openSessions(redis.url)
  for (let round = 0; round < 3; round += 1) {
    const script = fileURLToPath(new URL('./follow-start.js', import.meta.url))
    const env = { REDIS_URL: redis.url }
    const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', script], { env })
    const { seconds, heap, resident, pause }: FollowerStart = JSON.parse(stdout)
    line(`ready after ${seconds} s, heap +${heap} MB, resident +${resident} MB, longest pause ${pause} ms`)
  }
  await sessions.close()
  admin.disconnect()
}
