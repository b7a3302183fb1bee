import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../test/support/servers/ports.js'
import type { BenchRedis } from './bench-redis.js'
import { openSessions, seedFeed } from './follow-sessions.js'
import type { Report, ToFollower } from './follower.js'
import { startServer } from './server.js'
import { environment } from './setting.js'

const FOLLOWERS = 10
const A_MINUTE = Number(process.env.BENCH_REVOCATIONS ?? 1000)
const SECONDS = Number(process.env.BENCH_SECONDS ?? 60)

/** Measures the time from an acknowledged revocation until ten followers refuse its token. Each follower is a process. */
export async function measureRevocations(redis: BenchRedis): Promise<void> {
  const reports = await revoke(redis, async (revokeOne) => {
    const began = performance.now()
    for (let i = 0; performance.now() - began < SECONDS * 1000; i += 1) {
      await revokeOne()
      await sleep(Math.max(0, began + ((i + 1) * 60_000) / A_MINUTE - performance.now()))
    }
  })
  report('revocations', reports)
}

/** Does the same while Redis stalls, is killed and comes back empty, and fails over to a replica, three times each. */
export async function measureFaults(redis: BenchRedis): Promise<void> {
  const reports = await revoke(redis, async (revokeOne) => {
    let isOver = false
    const revoking = (async () => {
      while (!isOver) {
        await revokeOne()
        await sleep(60_000 / A_MINUTE)
      }
    })()
    for (let round = 0; round < 3; round += 1) {
      await sleep(4000)
      redis.signal('SIGSTOP')
      await sleep(4000)
      redis.signal('SIGCONT')
      await sleep(4000)
      await redis.restartEmpty()
      await sleep(4000)
      await redis.failOver()
    }
    await sleep(4000)
    redis.signal('SIGSTOP')
    await sleep(3000)
    isOver = true
    redis.signal('SIGCONT')
    await revoking
  })
  report('faults', reports)
}

/** Runs a service and its followers while `work` revokes sessions. Returns the report of each follower. */
async function revoke(redis: BenchRedis, work: (revokeOne: () => Promise<void>) => Promise<void>): Promise<Report[]> {
  await seedFeed(redis.url)
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-bench-'))
  const [PORT, MANAGEMENT_PORT] = [String(await freePort()), String(await freePort())]
  const url = `http://127.0.0.1:${PORT}`
  const env = { ...environment(redis.url, `sqlite:${join(folder, 'bench.db')}`), PORT, MANAGEMENT_PORT }
  const service = await startServer('../src/server.js', env, url, `http://127.0.0.1:${MANAGEMENT_PORT}/readyz`)
  const sessions = await openSessions(redis.url)
  const followers = await Promise.all(Array.from({ length: FOLLOWERS }, () => startFollower(redis.url)))
  const tell = (message: ToFollower) => {
    for (const follower of followers) follower.send(message)
  }
  let watched = 0
  try {
    await work(async () => {
      const token = await sessions.begin().catch(() => undefined)
      if (token === undefined) return
      const id = watched++
      tell({ watch: id, token })
      await sleep(5)
      const answer = await fetch(`${url}/logout`, { method: 'POST', headers: { authorization: `Bearer ${token}` } })
      const at = performance.timeOrigin + performance.now()
      await answer.arrayBuffer()
      if (answer.status === 204) tell({ revoked: id, at })
    })
    await sleep(2000)
    return await Promise.all(
      followers.map(async (follower) => {
        const answer = once(follower, 'message')
        follower.send({ report: true } satisfies ToFollower)
        return (await answer)[0] as Report
      }),
    )
  } finally {
    for (const follower of followers) follower.kill()
    await sessions.close()
    await service.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

async function startFollower(redisUrl: string): Promise<ChildProcess> {
  const follower = fork(new URL('./follower.js', import.meta.url), {
    env: { PATH: process.env.PATH, REDIS_URL: redisUrl },
  })
  await once(follower, 'message')
  return follower
}

function report(name: string, reports: readonly Report[]): void {
  const delays = reports.flatMap((one) => one.delays).sort((a, b) => a - b)
  const at = (share: number) => (delays[Math.ceil(delays.length * share) - 1] ?? Number.NaN).toFixed(1)
  const sum = (value: (one: Report) => number) => reports.reduce((total, one) => total + value(one), 0)
  const line = (text: string) => process.stdout.write(`${name.padEnd(11)}${text}\n`)
  line(`${delays.length / reports.length} revocations, ${reports.length} followers`)
  line(`accepted after the acknowledgement: p50 ${at(0.5)}, p99 ${at(0.99)}, most ${at(1)} ms`)
  line(
    `accepted past maxStaleness: ${sum((one) => one.violations)} of ${sum((one) => one.verifications)} verifications`,
  )
  line(`refused: ${JSON.stringify(reports[0]?.refusals)} (one of them)`)
}
