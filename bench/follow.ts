import { type BenchRedis, startRedis } from './bench-redis.js'
import { measureCost } from './follow-cost.js'
import { measureFaults, measureRevocations } from './follow-revocations.js'
import { measureWindow } from './follow-window.js'

/**
 * Measures the cost of the feed and the delay of a revocation: `node dist/bench/follow.js [cost|revocations|faults|window]`.
 * Each part starts a Redis of its own, on loopback.
 */
const parts: Record<string, (redis: BenchRedis) => Promise<void>> = {
  cost: async (redis) => void process.stdout.write(`${JSON.stringify(await measureCost(redis), null, 2)}\n`),
  revocations: measureRevocations,
  faults: measureFaults,
  window: measureWindow,
}

for (const [name, measure] of Object.entries(parts)) {
  if (process.argv[2] && process.argv[2] !== name) continue
  const redis = await startRedis()
  try {
    await measure(redis)
  } finally {
    await redis.stop()
  }
}
process.exit()
