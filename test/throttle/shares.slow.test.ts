import { test } from 'tap'
import type { Answer, Api } from '../support/api.js'
import { anyStore, PASSWORD, startService, storeFailures } from '../support/service.js'

const ONE_SLOT = { HASH_COST: 'full', HASH_CONCURRENCY: '1', HASH_QUEUE: '64' }
const PROXIED = { ...ONE_SLOT, TRUST_PROXY: '127.0.0.1' }
const from = (address: string) => ({ 'x-forwarded-for': address })
const login = (api: Api, address: string, username: string) =>
  api.call('/login', { json: { username, password: PASSWORD }, headers: from(address) })

const CALLERS = 80
const OTHERS = 12

/** The requests of each connection, one after the other. */
const storms: [string, (api: Api, bearer: string) => Promise<Answer>][] = [
  ['right sign-ins', (api) => login(api, '192.0.2.1', 'eve')],
  [
    'right sign-ins from one /64',
    (api) => login(api, `2001:db8::${Math.floor(Math.random() * 65_536).toString(16)}`, 'eve'),
  ],
  [
    'sign-ups for a taken name',
    (api) => api.call('/users', { json: { username: 'eve', password: PASSWORD }, headers: from('192.0.2.1') }),
  ],
  [
    'deletions with a wrong password',
    (api, bearer) =>
      api.call('/users/me', { method: 'DELETE', bearer, json: { password: 'wrong' }, headers: from('192.0.2.1') }),
  ],
]

// The queue is in the process, so its load does not depend on the store.
for (const store of anyStore) {
  for (const [name, send] of store === 'sqlite' ? storms : storms.slice(0, 1)) {
    test(`${store}: L10: nine of ten sign-ins succeed while one address sends ${CALLERS} ${name} at once`, async (t) => {
      const { api, log } = await startService(t, store, PROXIED)
      for (const username of ['ada', 'eve']) await api.signUp(username, PASSWORD)
      const { access_token } = (await login(api, '192.0.2.1', 'eve')).body
      let isOver = false
      const storm: Answer[] = []
      const callers = Array.from({ length: CALLERS }, async () => {
        while (!isOver) storm.push(await send(api, access_token))
      })
      while (storm.length < CALLERS) await api.introspect(access_token)

      const statuses: number[] = []
      while (statuses.length < OTHERS) {
        const before = storeFailures(log).length
        const answers = await Promise.all(
          Array.from({ length: 6 }, (_, j) => login(api, `198.51.100.${statuses.length + j}`, 'ada')),
        )
        // On a busy machine a store may exceed a timeout, which refuses all callers that wait. That says nothing about shares.
        if (storeFailures(log).length === before) statuses.push(...answers.map(({ status }) => status))
      }
      isOver = true
      await Promise.all(callers)

      const signedIn = statuses.filter((status) => status === 200).length
      t.ok(signedIn >= OTHERS * 0.9, `${signedIn} of ${OTHERS} signed in`)
      const rude = storm.filter(
        ({ status, headers }) => status >= 429 && !/^[1-9]\d*$/.test(String(headers['retry-after'])),
      )
      t.strictSame(rude, [], 'every refusal has Retry-After')
    })
  }

  test(`${store}: a single address may take every place in the queue`, async (t) => {
    const { api } = await startService(t, store, ONE_SLOT)
    await api.signUp('ada', PASSWORD)
    const answers = await Promise.all(Array.from({ length: 65 }, () => api.login('ada', PASSWORD)))
    t.strictSame(
      answers.map(({ status }) => status),
      Array(65).fill(200),
    )
  })
}
