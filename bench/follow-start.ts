import { monitorEventLoopDelay } from 'node:perf_hooks'
import { createVerifier } from '@latchkey/verifier'
import { ISSUER, JWT_SECRET } from './setting.js'

/** Measures the start of one follower, in a process of its own. */
const collect = (globalThis as { gc?: () => void }).gc ?? (() => {})
const megabytes = (bytes: number) => (bytes / 2 ** 20).toFixed(0)
collect()
const before = process.memoryUsage()
const delay = monitorEventLoopDelay({ resolution: 1 })
delay.enable()
const began = performance.now()
const verifier = createVerifier({
  issuer: ISSUER,
  audience: ISSUER,
  keys: { secrets: [JWT_SECRET] },
  revocation: { mode: 'follow', redis: process.env.REDIS_URL as string },
})
await verifier.ready()
const took = performance.now() - began
collect()
const after = process.memoryUsage()
process.stdout.write(
  `ready after ${(took / 1000).toFixed(2)} s, heap +${megabytes(after.heapUsed - before.heapUsed)} MB, ` +
    `resident +${megabytes(after.rss - before.rss)} MB, longest pause ${(delay.max / 1e6).toFixed(0)} ms\n`,
)
await verifier.close()
