import { test } from 'tap'
import { createClient } from '../support/clients.js'
import { exchange } from '../support/exchange.js'
import { PASSWORD, startService, startServiceWith, stores } from '../support/service.js'
import { isAll } from '../support/size.js'

/** On each store. The three stores have 1,000 in all. */
const ROUNDS = Number(process.env.LATCHKEY_TEST_ROUNDS ?? (isAll ? 334 : 24))
/** Races that run side by side. */
const LANES = 8

for (const store of stores) {
  test(`W11: ${store}: no token survives a sign-out that races exchanges, × ${ROUNDS}`, async (t) => {
    const settings = { AUDIENCE: 'web,todo,bills', SESSIONS_PER_USER: '5000' }
    const { api, env } = await startService(t, store, settings)
    const { api: other } = await startServiceWith(t, env)
    const gateway = await createClient(env, 'gateway', { exchangeAudiences: ['todo'] })
    const todo = await createClient(env, 'todo-api', { audiences: ['todo'], exchangeAudiences: ['bills'] })
    await api.signUp('ada', PASSWORD)
    let [exchanged, survivors] = [0, 0]

    async function race(round: number): Promise<void> {
      const person = await api.tokens('ada', PASSWORD)
      const issued: string[] = []
      // The second exchange goes on from the first, so that the sign-out meets both.
      const chain = async (on: typeof api) => {
        const first = await exchange(on, gateway, person.access_token, { audience: 'todo' })
        if (first.status !== 200) return
        issued.push(first.body.access_token)
        const second = await exchange(on, todo, first.body.access_token, { audience: 'bills' })
        if (second.status === 200) issued.push(second.body.access_token)
      }
      const signOut = async () => {
        // The sign-out comes at a different moment each time.
        for (let turns = round % 12; turns > 0; turns -= 1) await new Promise(setImmediate)
        const { status } = await (round % 2 ? api : other).logout(person.refresh_token)
        if (status !== 204) t.fail(`the sign-out answered ${status}`)
      }
      const exchanges = Promise.all([chain(api), chain(other), chain(api)])
      await signOut()
      // What was issued by now, and what is issued from now on.
      await exchanges
      exchanged += issued.length
      const living = await Promise.all(issued.map((token, i) => (i % 2 ? api : other).isActive(token)))
      survivors += living.filter(Boolean).length
      const late = await exchange(api, gateway, person.access_token, { audience: 'todo' })
      if (late.status !== 400) t.fail(`after the sign-out an exchange answered ${late.status}`)
    }

    await Promise.all(
      Array.from({ length: LANES }, async (_, lane) => {
        for (let round = lane; round < ROUNDS; round += LANES) await race(round)
      }),
    )
    t.comment(`${exchanged} tokens were exchanged`)
    t.ok(exchanged > 0)
    t.equal(survivors, 0)
  })
}
