import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { test } from 'tap'
import type { Api } from '../support/api.js'
import { eventually } from '../support/eventually.js'
import { Ledger, signUpLanes, startLoad } from '../support/load.js'
import { startRedis } from '../support/servers/redis.js'
import { PASSWORD, startService } from '../support/service.js'
import { scaledLimit } from '../support/time-limits.js'
import { startVerifier, verdictOnce } from '../support/verifier-setup.js'

/** How often Redis is emptied. The full size is 20. */
const TIMES = Number(process.env.LATCHKEY_TEST_EMPTIED ?? 2)
const LANES = 3

test(`F6: Redis is flushed or restarted empty under load, × ${TIMES}: no revoked token becomes valid again`, async (t) => {
  let redis = await startRedis()
  t.teardown(() => redis.stop())
  const { url, port } = redis
  const service = await startService(t, 'sqlite', { REDIS_URL: url })
  const next = (): Api => service.once
  await signUpLanes(next(), LANES)
  const verifiers = [
    await startVerifier(t, { mode: 'follow', redis: url }),
    await startVerifier(t, { mode: 'lookup', redis: url }),
  ]
  const ledger = new Ledger(t)
  const load = startLoad({ next, ledger, lanes: LANES, isDurable: false })
  let revived = 0
  let checked = 0
  let slowest = 0
  for (let round = 0; round < TIMES; round += 1) {
    const before = ledger.ended.length
    await eventually(() => ledger.ended.length > before)
    if (round % 2 === 0) {
      const admin = new Redis(url)
      await admin.flushall()
      admin.disconnect()
    } else {
      await redis.stop()
      redis = await startRedis({ port })
    }
    const back = eventually(async () => (await next().login('ada-0', PASSWORD)).status === 200)
    slowest = Math.max(slowest, await back)
    // A follower may read a revocation up to a second late. Until then it may accept the token.
    const ended = [...ledger.ended]
    await sleep(1200)
    for (const { access_token } of ended) {
      for (const verifier of verifiers) if ((await verdictOnce(verifier, access_token)) === 'good') revived += 1
      checked += 1
    }
    revived += await ledger.countRevived(next)
  }
  await load.stop()
  revived += await ledger.countRevived(next, true)
  t.comment(
    `${TIMES} times: ${ledger.ended.length} tokens of acknowledged revocations, ${revived} live; ${checked} asked of ` +
      `verifiers; ${ledger.lost} sessions lost; back ${Math.round(slowest)} ms after Redis at the latest`,
  )
  t.equal(revived, 0)
  t.strictSame(ledger.wrong, [])
  t.ok(slowest < scaledLimit(3000), `back after ${slowest} ms`)
})
