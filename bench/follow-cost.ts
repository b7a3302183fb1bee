import { setImmediate } from 'node:timers/promises'
import { createVerifier, type Verifier } from '@latchkey/verifier'
import { createVerifier as createBareVerifier } from 'fast-jwt'
import { Redis } from 'ioredis'
import type { BenchRedis } from './follow.js'
import { openSessions, seedFeed } from './follow-sessions.js'
import { summarise } from './measure.js'
import { ISSUER, JWT_SECRET } from './setting.js'

const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 11)
/** So many that when one comes again it has been forgotten. */
const TOKENS = 60_000
const REPEATED = 2000
/** Verifications in one turn of the event loop: a loop that never ended would starve the follower of its feed. */
const A_TURN = 100

/** What a verification costs, in CPU time of this process, against fast-jwt alone on the same tokens: A B A B …. */
export async function measureCost(redis: BenchRedis): Promise<void> {
  await seedFeed(redis.url)
  const sessions = await openSessions(redis.url)
  const tokens: string[] = []
  while (tokens.length < TOKENS) {
    tokens.push(...(await Promise.all(Array.from({ length: 50 }, () => sessions.begin()))))
  }
  const bare = createBareVerifier({ key: JWT_SECRET, algorithms: ['HS256'] })
  const follow = createVerifier({
    issuer: ISSUER,
    audience: ISSUER,
    keys: { secrets: [JWT_SECRET] },
    revocation: { mode: 'follow', redis: redis.url },
  })
  await follow.ready()

  const bareRun = async (all: readonly string[]) => {
    for (const [i, token] of all.entries()) {
      if (i % A_TURN === 0) await setImmediate()
      bare(token)
    }
  }
  const followRun = async (all: readonly string[], verifier: Verifier = follow) => {
    for (const [i, token] of all.entries()) {
      if (i % A_TURN === 0) await setImmediate()
      await verifier.verify(token)
    }
  }
  const repeated = Array.from({ length: 10 }, () => tokens.slice(0, REPEATED)).flat()
  const costs: Record<'bare' | 'follow' | 'repeated' | 'ratio', number[]> = {
    bare: [],
    follow: [],
    repeated: [],
    ratio: [],
  }
  const admin = new Redis(redis.url)
  const lookUps = async () => Number(/cmdstat_exists:calls=(\d+)/.exec(await admin.info('commandstats'))?.[1] ?? 0)
  const before = await lookUps()
  for (let round = 0; round <= ROUNDS; round += 1) {
    const a = await cpuOf(() => bareRun(tokens), tokens.length)
    const b = await cpuOf(() => followRun(tokens), tokens.length)
    for (let sighting = 0; sighting < 2; sighting += 1) await followRun(tokens.slice(0, REPEATED))
    const c = await cpuOf(() => followRun(repeated), repeated.length)
    // The first round is for the compiler.
    if (round === 0) continue
    costs.bare.push(a)
    costs.follow.push(b)
    costs.repeated.push(c)
    costs.ratio.push(b / a)
  }
  for (const [name, values] of Object.entries(costs)) {
    const { median, low, high } = summarise(values)
    const unit = name === 'ratio' ? '× bare fast-jwt' : 'µs a verification'
    process.stdout.write(
      `cost       ${name.padEnd(9)} ${median.toFixed(2)} (${low.toFixed(2)}–${high.toFixed(2)}) ${unit}\n`,
    )
  }
  process.stdout.write(
    `cost       look-ups   ${(await lookUps()) - before} of ${(ROUNDS + 1) * (TOKENS + REPEATED * 12)}\n`,
  )
  admin.disconnect()
  await follow.close()
  await sessions.close()
}

/** Microseconds of CPU, of all threads, for each of so many. */
async function cpuOf(run: () => Promise<void>, count: number): Promise<number> {
  const before = process.cpuUsage()
  await run()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / count
}
