import { once } from 'node:events'
import type { Redis } from 'ioredis'
import { type Test, test } from 'tap'
import { connectRedis } from '../../src/sessions/redis/client.js'
import type { CodeThrottle } from '../../src/throttle/codes.js'
import { createThrottle } from '../../src/throttle/throttle.js'
import { redisOf } from '../support/service.js'
import { isAll } from '../support/size.js'

const SUB = 'ada'

/** Three replicas that count in one Redis, or one process that counts in its memory. */
async function throttles(t: Test, store: 'memory' | 'redis'): Promise<CodeThrottle[]> {
  if (store === 'memory') return [createThrottle(undefined)]
  const { url } = await redisOf(t)
  return Promise.all(
    [1, 2, 3].map(async () => {
      const client = connectRedis({ mode: 'single', urls: [url] }, () => {}) as Redis
      t.teardown(() => client.disconnect())
      // A busy machine must not cause a command timeout here.
      client.options.commandTimeout = 5000
      await once(client, 'ready')
      return createThrottle(client)
    }),
  )
}

async function start(throttle: CodeThrottle, sub = SUB) {
  const code = await throttle.beginCode(sub, 'sign-in')
  if ('wait' in code) throw new Error(`must wait ${code.wait} s`)
  return code
}

/** How many attempts start before one has to wait. */
async function countFree(throttle: CodeThrottle, sub: string): Promise<number> {
  for (let free = 0; ; free += 1) if ('wait' in (await throttle.beginCode(sub, 'sign-in'))) return free
}

for (const store of ['memory', 'redis'] as const) {
  test(`${store}: M3 a code that was not compared takes nothing from the count after a success`, async (t) => {
    const [throttle] = (await throttles(t, store)) as [CodeThrottle]
    const [right, ...others] = [await start(throttle), await start(throttle), await start(throttle)]
    await throttle.finishCode(right, 'success')
    await throttle.finishCode(await start(throttle), 'failure')
    for (const code of others) await throttle.finishCode(code, 'not_compared')
    t.equal(await countFree(throttle, SUB), 4, 'one failure counts')
    t.match(await throttle.beginCode(SUB, 'sign-in'), { wait: /^[45]$/ })
  })

  test(`${store}: M3 a success and codes that are not compared, at once on replicas: five attempts are free after it`, async (t) => {
    const replicas = await throttles(t, store)
    const next = (i: number) => replicas[i % replicas.length] as CodeThrottle
    const rounds = isAll ? 300 : 30
    for (let round = 0; round < rounds; round += 1) {
      const sub = `${SUB}${round}`
      const right = await start(next(round), sub)
      await Promise.all([
        ...Array.from({ length: 30 }, async (_, i) => {
          const code = await next(i).beginCode(sub, 'sign-in')
          if (!('wait' in code)) await next(i + 1).finishCode(code, 'not_compared')
        }),
        next(round + 1).finishCode(right, 'success'),
      ])
      t.equal(await countFree(next(round), sub), 5, `round ${round}`)
    }
  })

  test(`${store}: M3 a right code ends the wait that its attempt began, and no other wait`, async (t) => {
    const [throttle] = (await throttles(t, store)) as [CodeThrottle]
    const codes = []
    for (let i = 0; i < 5; i += 1) codes.push(await start(throttle))
    t.match(await throttle.beginCode(SUB, 'sign-in'), { wait: 5 })
    const [first, last] = [codes[0], codes[4]]
    if (!first || !last) throw new Error('five attempts were started')
    await throttle.finishCode(first, 'success')
    t.match(await throttle.beginCode(SUB, 'sign-in'), { wait: 5 })
    await throttle.finishCode(last, 'success')
    t.equal(await countFree(throttle, SUB), 5)
  })
}
