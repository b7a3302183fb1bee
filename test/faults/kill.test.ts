import { setTimeout as sleep } from 'node:timers/promises'
import { test } from 'tap'
import type { Api } from '../support/api.js'
import { Ledger, signUpLanes, startLoad } from '../support/load.js'
import { startRedis } from '../support/servers/redis.js'
import { environment, type SpawnedService, spawnService } from '../support/service.js'

/** How often a process of the service is killed. The full size is 200. */
const KILLS = Number(process.env.LATCHKEY_TEST_KILLS ?? 2)

for (const store of process.env.LATCHKEY_TEST_KILLS ? (['redis', 'postgres'] as const) : (['redis'] as const)) {
  test(`F24, R11: ${store}: one of two processes is killed under load, × ${KILLS}: nothing acknowledged is lost`, async (t) => {
    const env = await environment(t, store === 'redis' ? 'sqlite' : store, { DOCS: 'off', LOG_LEVEL: 'warn' })
    if (store === 'redis') {
      const redis = await startRedis()
      t.teardown(() => redis.stop())
      env.REDIS_URL = redis.url
    }
    const services = await Promise.all([1, 2].map(() => spawnService(t, env)))
    let turn = 0
    const next = (): Api => (services[turn++ % services.length] as SpawnedService).once
    await signUpLanes(next())
    const ledger = new Ledger(t)
    const load = startLoad({ next, ledger })

    for (let kill = 0; kill < KILLS; kill += 1) {
      await sleep(100 + Math.random() * 400)
      const victim = kill % services.length
      await (services[victim] as SpawnedService).end('SIGKILL')
      services[victim] = await spawnService(t, env)
    }
    await load.stop()

    const revived = await ledger.countRevived(next)
    t.comment(
      `${KILLS} kills: ${ledger.ended.length} tokens of acknowledged revocations, ${revived} live; ` +
        `${ledger.answered} answers, ${ledger.failed} asked again`,
    )
    t.ok(ledger.ended.length > 0, 'there was something to lose')
    t.equal(revived, 0)
    t.strictSame(ledger.wrong, [])
  })
}
