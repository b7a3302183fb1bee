import { setImmediate } from 'node:timers/promises'
import { createVerifier, type Verifier } from '@latchkey/verifier'
import { createVerifier as createBareVerifier } from 'fast-jwt'
import { Redis } from 'ioredis'
import { openSessions, seedFeed } from './follow-sessions.js'
import { type Summary, summarise } from './measure.js'
import { ISSUER, JWT_SECRET } from './setting.js'

const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 5)
/** More tokens than the cache keeps, so that a repeated token is never in the cache. */
const TOKENS = 60_000
const REPEATED = 2000
/** Verifications in one event loop tick. In an endless loop the follower could never read its feed. */
const A_TURN = 100

/** Microseconds of CPU for one verification. */
export interface LocalVerification {
  bare: Summary
  follow: Summary
  /** Repeated tokens. */
  repeated: Summary
  /** `follow` divided by `bare`, in each round. */
  ratio: Summary
  /** One EXISTS for each token, 50 in flight. */
  lookup: Summary
  /** Look-ups in Redis that `follow` made during all `verifications`. */
  lookUps: number
  verifications: number
}

/** Measures the CPU time of a verification, in turns with fast-jwt alone on the same tokens. */
export async function measureCost(redis: { url: string }): Promise<LocalVerification> {
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
  const lookup = createVerifier({
    issuer: ISSUER,
    audience: ISSUER,
    keys: { secrets: [JWT_SECRET] },
    revocation: { mode: 'lookup', redis: redis.url },
  })
  await lookup.ready()
  const lookupRun = async (all: readonly string[]) => {
    for (let i = 0; i < all.length; i += 50) {
      await Promise.all(all.slice(i, i + 50).map((token) => lookup.verify(token)))
    }
  }

  const repeated = Array.from({ length: 10 }, () => tokens.slice(0, REPEATED)).flat()
  const costs: Record<'bare' | 'follow' | 'repeated' | 'ratio' | 'lookup', number[]> = {
    bare: [],
    follow: [],
    repeated: [],
    ratio: [],
    lookup: [],
  }
  const admin = new Redis(redis.url)
  const countLookUps = async () => Number(/cmdstat_exists:calls=(\d+)/.exec(await admin.info('commandstats'))?.[1] ?? 0)
  let lookUps = 0
  for (let round = 0; round <= ROUNDS; round += 1) {
    const before = await countLookUps()
    const a = await measureCpu(() => bareRun(tokens), tokens.length)
    const b = await measureCpu(() => followRun(tokens), tokens.length)
    for (let sighting = 0; sighting < 2; sighting += 1) await followRun(tokens.slice(0, REPEATED))
    const c = await measureCpu(() => followRun(repeated), repeated.length)
    lookUps += (await countLookUps()) - before
    const d = await measureCpu(() => lookupRun(tokens), tokens.length)
    // The first round does not count, because the JIT compiler still works.
    if (round === 0) continue
    costs.bare.push(a)
    costs.follow.push(b)
    costs.repeated.push(c)
    costs.ratio.push(b / a)
    costs.lookup.push(d)
  }
  admin.disconnect()
  await Promise.all([follow.close(), lookup.close(), sessions.close()])
  return {
    bare: summarise(costs.bare),
    follow: summarise(costs.follow),
    repeated: summarise(costs.repeated),
    ratio: summarise(costs.ratio),
    lookup: summarise(costs.lookup),
    lookUps,
    verifications: (ROUNDS + 1) * (TOKENS + REPEATED * 12),
  }
}

/** Microseconds of CPU of all threads, for each of `count` calls. */
async function measureCpu(run: () => Promise<void>, count: number): Promise<number> {
  const before = process.cpuUsage()
  await run()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / count
}
