import fc from 'fast-check'
import { test } from 'tap'
import { createClient } from '../support/clients.js'
import { createFixtures, operationsOf, requests, send } from '../support/fuzz.js'
import { type Store, startService, stores } from '../support/service.js'
import { isAll } from '../support/size.js'

/**
 * Enough requests for a success of a quarter of the operations. Of 58 runs, the worst had no success of 41 operations of 61,
 * and the mean was 36.
 */
const FAIR = 1500
/** `npm run fuzz:http` sends 100,000 requests, on SQLite. */
const COUNT = Number(process.env.LATCHKEY_TEST_FUZZ ?? (isAll ? FAIR : 500))
const STORES: readonly Store[] = isAll && !process.env.LATCHKEY_TEST_FUZZ ? stores : ['sqlite']
/** Enough requests for a success of each operation. */
const ENOUGH = 20_000
/** After how many requests the test checks that its account, session and client still exist. */
const NURSE_EVERY = 15

for (const store of STORES) {
  test(`${store}: ${COUNT} generated and mutated requests cause no 5xx, and no answer outside the OpenAPI document`, async (t) => {
    const { api, env, log } = await startService(t, store, {
      DOCS: 'on',
      LOG_LEVEL: 'warn',
      TRUST_PROXY: '127.0.0.1',
      // One request at a time cannot fill the hash queue. So a 503 is a fault.
      HASH_QUEUE: '1000',
    })
    const operations = operationsOf((await api.call('/openapi.json')).body)
    t.ok(operations.length >= 34)
    let clients = 0
    const nurse = createFixtures(api, api.client, () =>
      createClient(env, `fuzzer-${clients++}`, { scopes: ['introspect', 'admin', 'todo:read'] }),
    )
    const seen = new Map<string, number>()
    let sent = 0
    let alive = await nurse()

    const result = await fc.check(
      fc.asyncProperty(requests(operations), async (request) => {
        if (++sent % NURSE_EVERY === 0) alive = await nurse()
        const { status, fault } = await send(api, operations, request, alive)
        const { method, path } = operations[request.operation] as { method: string; path: string }
        const name = `${method} ${path} ${status}`
        seen.set(name, (seen.get(name) ?? 0) + 1)
        if (fault === undefined) return
        const reasons = log.flatMap(({ reason }) => reason ?? []).slice(-3)
        // On a busy machine a store may exceed its timeout.
        if (status === 503 && /timed out|timeout/.test(String(reasons.at(-1)))) return
        throw new Error(`${method} ${path} answered ${fault} ${reasons.join('; ')}`)
      }),
      { numRuns: COUNT, endOnFailure: true, ...(process.env.FUZZ_SEED && { seed: Number(process.env.FUZZ_SEED) }) },
    )

    t.notOk(result.failed, `${result.errorInstance} with seed ${result.seed}: ${JSON.stringify(result.counterexample)}`)
    t.ok(sent >= COUNT)
    t.strictSame(
      log.filter(({ level }) => (level as number) >= 50),
      [],
      'no fault was logged',
    )
    const hasSuccess = ({ method, path }: { method: string; path: string }) =>
      [...seen.keys()].some((name) => name.startsWith(`${method} ${path} 2`))
    const missed = operations
      .filter((operation) => !hasSuccess(operation))
      .map(({ method, path }) => `${method} ${path}`)
    if (COUNT >= ENOUGH) {
      t.comment(
        [...seen]
          .sort()
          .map(([name, count]) => `${name}: ${count}`)
          .join('\n'),
      )
      t.strictSame(missed, [], 'each operation was called with success')
    }
    if (COUNT >= FAIR) {
      t.ok(missed.length <= (operations.length * 3) / 4, `without success: ${missed.join(', ')}`)
    }
  })
}
