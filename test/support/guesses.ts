import { type Algorithm, hash } from '@node-rs/argon2'
import { test } from 'tap'
import { withAccounts } from './accounts.js'
import { type Answer, type Api, untilAvailable } from './api.js'
import { eventually } from './eventually.js'
import { PASSWORD, type RunningService, type Store, startService } from './service.js'

export const PROXIED = { TRUST_PROXY: '127.0.0.1', HASH_QUEUE: '2000', LOG_LEVEL: 'warn' }

/** Signs in from a chosen address. */
export const loginFrom = (api: Api, address: string, username: string, password: string): Promise<Answer> =>
  api.call('/login', { json: { username, password }, headers: { 'x-forwarded-for': address } })

/** Addresses of different networks, as many as wanted. */
export const addressOf = (i: number) => `10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}`

/** How many wrong passwords were hashed: the audit log has a line for each, and for no other sign-in. */
const hashed = ({ audited }: RunningService) =>
  audited('login.refused').filter(({ reason }) => reason === 'wrong_password' || reason === 'unknown_user').length

/** Answers other than the expected refusals. 503 is expected too: on a busy machine Redis may exceed its timeout. */
const others = (answers: Answer[]) => answers.filter(({ status }) => ![401, 429, 503].includes(status))

/** Runs all tasks with this concurrency. */
export async function inParallel<Result>(
  count: number,
  atOnce: number,
  act: (i: number) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = []
  let next = 0
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      for (let i = next++; i < count; i = next++) results.push(await act(i))
    }),
  )
  return results
}

/** Where the guesses come from. */
export const guessers: [string, (i: number) => string][] = [
  ['one address', () => '192.0.2.1'],
  ['1,000 addresses', addressOf],
]

/** 1,000 wrong guesses at one account, so many at once. */
export function thousandGuesses(store: Store, atOnce: number, addresses = guessers): void {
  test(`${store}: L9: at most 100 of 1,000 wrong guesses at one account are hashed, from ${addresses.map(([name]) => name).join(' or from ')}, ${atOnce} at once`, async (t) => {
    for (const [name, address] of addresses) {
      const service = await startService(t, store, PROXIED)
      const { api } = service
      await api.signUp('ada', PASSWORD)

      const answers = await inParallel(1000, atOnce, (i) => loginFrom(api, address(i), 'ada', `wrong ${i}`))

      t.strictSame(others(answers), [], 'each is refused, and none fails')
      const refused = answers.filter(({ status }) => status !== 401)
      t.ok(refused.every(({ headers }) => Number(headers['retry-after']) >= 1))
      const count = hashed(service)
      t.equal(count, 1000 - refused.length)
      t.ok(count <= 100, `${name}, ${atOnce} at once: ${count} hashed`)
      t.ok(count >= 5, 'and some are: a person may mistype')
      await service.close()
    }
  })
}

/** A spray over many accounts from one address. */
export function spray(store: Store): void {
  const count = Number(process.env.LATCHKEY_TEST_SPRAY ?? 1600)
  test(`${store}: L11: a spray over ${count} accounts from one address ends in 429; L12: it delays nobody for whom the address is trusted`, async (t) => {
    const service = await startService(t, store, PROXIED)
    const { api } = service
    const office = '192.0.2.1'
    for (const username of ['ada', 'bob']) await api.signUp(username, PASSWORD)
    t.equal((await untilAvailable(() => loginFrom(api, office, 'ada', PASSWORD))).status, 200)

    const answers = await inParallel(count, 50, (i) => loginFrom(api, office, `user${i}`, 'Summer2026!'))

    t.strictSame(others(answers), [])
    t.ok(hashed(service) <= 1500, `${hashed(service)} hashed`)
    t.ok(answers.filter(({ status }) => status !== 401).length >= count - 1500)
    // A guess that got 503 does not count, so a busy machine may need a few more.
    let more = count
    await eventually(async () => (await loginFrom(api, office, `user${more++}`, 'Summer2026!')).status === 429)
    t.ok(hashed(service) <= 1500, `${hashed(service)} hashed`)
    const refused = await untilAvailable(() => loginFrom(api, office, 'bob', PASSWORD))
    t.match(refused, { status: 429, headers: { 'retry-after': /^\d+$/ } })
    t.ok(Number(refused.headers['retry-after']) <= 600)
    t.equal(
      (await untilAvailable(() => loginFrom(api, '192.0.2.2', 'bob', PASSWORD))).status,
      200,
      'elsewhere he signs in',
    )
    t.equal(
      (await untilAvailable(() => loginFrom(api, office, 'ada', PASSWORD))).status,
      200,
      'and she where she is known',
    )
  })
}

/** The wait after wrong passwords. */
export function doublingWait(store: Store): void {
  test(`${store}: the wait doubles after each wrong password, and the right password is refused meanwhile`, async (t) => {
    const { api, env } = await startService(t, store, { HASH_CONCURRENCY: '8' })
    // The cost keeps all eight in flight until the first fails.
    const costly = await hash(PASSWORD, { algorithm: 2 satisfies Algorithm.Argon2id, memoryCost: 65_536, timeCost: 4 })
    let name = ''
    let people = 0
    // On a busy machine one of the eight may get 503, or arrive after the first wait began. Then another person tries.
    await eventually(async () => {
      name = `ada${people++}`
      const { body } = await untilAvailable(() => api.signUp(name, PASSWORD))
      await withAccounts(env, (_users, { db }) =>
        db.updateTable('users').set({ password_hash: costly }).where('id', '=', body.id).execute(),
      )
      const guesses = await Promise.all(Array.from({ length: 8 }, (_, i) => api.login(name, `wrong ${i}`)))
      return guesses.every(({ status }) => status === 401)
    })
    const { status, headers } = await untilAvailable(() => api.login(name, PASSWORD))
    t.equal(status, 429)
    t.ok(Number(headers['retry-after']) > 30, `${headers['retry-after']} s: 5, doubled three times`)
  })
}

/** Which part of `X-Forwarded-For` counts. */
export function forwardedAddresses(store: Store): void {
  test(`${store}: H13: X-Forwarded-For counts only from a proxy, and only the part that the proxy wrote`, async (t) => {
    for (const [name, overrides, forward] of [
      ['no proxy is trusted', { HASH_QUEUE: '100' }, (i: number) => addressOf(i)],
      ['before the proxy’s own entry', PROXIED, (i: number) => `${addressOf(i)}, 192.0.2.1`],
      ['many entries', PROXIED, (i: number) => `192.0.2.${i}, ${addressOf(i)}, ::1, 192.0.2.1`],
      ['of one address, with its port', PROXIED, (i: number) => `192.0.2.1:${40_000 + i}`],
      ['of one IPv6 address, with its port', PROXIED, (i: number) => `[2001:db8::1]:${40_000 + i}`],
      ['of one /64', PROXIED, (i: number) => `2001:db8:1:2:${(i + 1).toString(16)}::${i}`],
    ] as [string, Record<string, string>, (i: number) => string][]) {
      const service = await startService(t, store, overrides)
      await service.api.signUp('ada', PASSWORD)
      const statuses: number[] = []
      for (let i = 0; i < 12; i += 1) {
        const { status } = await untilAvailable(() => loginFrom(service.api, forward(i), 'ada', 'wrong'))
        statuses.push(status)
      }
      t.strictSame(statuses, [...Array(5).fill(401), ...Array(7).fill(429)], name)
      await service.close()
    }
  })
}
