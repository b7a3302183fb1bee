import { test } from 'tap'
import type { Answer } from '../support/api.js'
import { anyStore, PASSWORD, startService, storeFailures } from '../support/service.js'

const CONNECTIONS = 100
const EACH = 4

// The queue is in the process, so its load does not depend on the store.
for (const store of anyStore) {
  test(`${store}: L10: sign-ins on 100 connections at once: the excess gets 503 or 429 with Retry-After, and introspection goes on`, async (t) => {
    const { api, log } = await startService(t, store, { HASH_COST: 'full', HASH_CONCURRENCY: '1', HASH_QUEUE: '16' })
    for (const name of ['ada', 'eve']) await api.signUp(name, PASSWORD)
    const { access_token } = await api.tokens('ada', PASSWORD)

    const answers: Answer[] = []
    // Right passwords, wrong passwords, and unknown names.
    const storm = Array.from({ length: CONNECTIONS }, async (_, i) => {
      for (let attempt = 0; attempt < EACH; attempt += 1) {
        const [name, password] = [
          ['ada', PASSWORD],
          ['eve', 'wrong'],
          [`nobody${i}`, PASSWORD],
        ][i % 3] as [string, string]
        answers.push(await api.login(name, password))
      }
    })
    let isOver = false
    const over = Promise.all(storm).finally(() => {
      isOver = true
    })
    const introspections: Answer[] = []
    while (!isOver) introspections.push(await api.introspect(access_token))
    await over

    t.ok(
      answers.some(({ status }) => status === 200),
      'some sign in',
    )
    const excess = answers.filter(({ status }) => status !== 200 && status !== 401)
    t.ok(excess.length > 0)
    for (const { status, headers, body } of excess) {
      if (status !== 503 && status !== 429) t.fail(`a sign-in answered ${status}`)
      if (!/^[1-9]\d*$/.test(String(headers['retry-after']))) t.fail(`${status} without Retry-After`)
      if (body.error !== 'temporarily_unavailable') t.fail(`${status} with ${body.error}`)
    }
    const answered = introspections.filter(({ status }) => status !== 503)
    t.ok(introspections.length - answered.length <= storeFailures(log).length, 'no introspection waits in the queue')
    t.strictSame(
      answered.filter(({ status, body }) => status !== 200 || body.active !== true),
      [],
      'each introspection is right',
    )
    t.ok(answered.length > 0)
    t.ok(await api.tokens('ada', PASSWORD), 'and afterwards she signs in')
  })
}
