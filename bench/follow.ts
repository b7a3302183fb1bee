import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { measureCost } from './follow-cost.js'
import { measureFaults, measureRevocations } from './follow-revocations.js'
import { measureWindow } from './follow-window.js'

/**
 * What following the feed costs and how fast a revocation arrives: `node dist/bench/follow.js [cost|revocations|faults|window]`.
 * Each part has a Redis of its own, on loopback.
 */
const parts: Record<string, (redis: BenchRedis) => Promise<void>> = {
  cost: measureCost,
  revocations: measureRevocations,
  faults: measureFaults,
  window: measureWindow,
}

export interface BenchRedis {
  url: string
  port: number
  signal(name: NodeJS.Signals): void
  /** Ended without warning, and started again with nothing in it. */
  restartEmpty(): Promise<void>
  stop(): Promise<void>
}

async function startRedis(port: number): Promise<BenchRedis> {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-bench-'))
  const start = async () => {
    const args = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--dir', folder]
    const server = spawn('redis-server', args, { stdio: ['ignore', 'pipe', 'inherit'] })
    for await (const chunk of server.stdout) if (String(chunk).includes('Ready to accept connections')) break
    server.stdout.resume()
    return server
  }
  const stop = async () => {
    const exited = once(server, 'exit')
    server.kill('SIGKILL')
    await exited
  }
  let server = await start()
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    signal: (name) => server.kill(name),
    async restartEmpty() {
      await stop()
      server = await start()
    },
    async stop() {
      await stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

for (const [name, measure] of Object.entries(parts)) {
  if (process.argv[2] && process.argv[2] !== name) continue
  const redis = await startRedis(7397)
  try {
    await measure(redis)
  } finally {
    await redis.stop()
  }
}
process.exit()
