import { monitorEventLoopDelay } from 'node:perf_hooks'
import { createVerifier } from '@latchkey/verifier'
import { CLIENT, ISSUER, JWT_SECRET } from './setting.js'

/** The start of one follower. */
export interface FollowerStart {
  /** Until the whole feed is in memory. */
  seconds: number
  /** Megabytes that the revocations take. */
  heap: number
  resident: number
  /** The longest pause of the event loop. Milliseconds. */
  pause: number
}

/** Measures the start of one follower, in a process of its own: of Redis, or of the feed over HTTP at ENDPOINT. */
const { REDIS_URL = '', ENDPOINT } = process.env
const collect = (globalThis as { gc?: () => void }).gc ?? (() => {})
const megabytes = (bytes: number) => Math.round(bytes / 2 ** 20)
collect()
const before = process.memoryUsage()
const delay = monitorEventLoopDelay({ resolution: 1 })
delay.enable()
const began = performance.now()
const verifier = createVerifier({
  issuer: ISSUER,
  audience: ISSUER,
  keys: { secrets: [JWT_SECRET] },
  revocation: ENDPOINT
    ? { mode: 'follow', endpoint: ENDPOINT, clientId: CLIENT.id, clientSecret: CLIENT.secret }
    : { mode: 'follow', redis: REDIS_URL },
})
await verifier.ready()
const took = performance.now() - began
collect()
const after = process.memoryUsage()
const start: FollowerStart = {
  seconds: Number((took / 1000).toFixed(2)),
  heap: megabytes(after.heapUsed - before.heapUsed),
  resident: megabytes(after.rss - before.rss),
  pause: Math.round(delay.max / 1e6),
}
process.stdout.write(`${JSON.stringify(start)}\n`)
await verifier.close()
