import { type Algorithm, hash } from '@node-rs/argon2'
import { test } from 'tap'
import { withAccounts } from '../support/accounts.js'
import type { Answer, Api } from '../support/api.js'
import { eventually } from '../support/eventually.js'
import { PASSWORD, type RunningService, startService } from '../support/service.js'
import { isAll } from '../support/size.js'

const PROXIED = { TRUST_PROXY: '127.0.0.1', HASH_QUEUE: '2000', LOG_LEVEL: 'warn' }

/** Signs in from a chosen address. */
const loginFrom = (api: Api, address: string, username: string, password: string): Promise<Answer> =>
  api.call('/login', { json: { username, password }, headers: { 'x-forwarded-for': address } })

/** Addresses of different networks, as many as wanted. */
const addressOf = (i: number) => `10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}`

/** How many wrong passwords were hashed: the audit log has a line for each, and for no other sign-in. */
const hashed = ({ audited }: RunningService) =>
  audited('login.refused').filter(({ reason }) => reason === 'wrong_password' || reason === 'unknown_user').length

/** Answers other than the expected refusals. 503 is expected too: on a busy machine Redis may exceed its timeout. */
const others = (answers: Answer[]) => answers.filter(({ status }) => ![401, 429, 503].includes(status))

/** Runs all tasks with this concurrency. */
async function inParallel<Result>(
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

// Without Redis the process counts guesses, whatever the database is.
for (const store of ['sqlite', 'redis'] as const) {
  test(`${store}: L9: at most 100 of 1,000 wrong guesses at one account are hashed, from one address or from 1,000`, async (t) => {
    for (const [name, address] of [
      ['one address', () => '192.0.2.1'],
      ['1,000 addresses', addressOf],
    ] as [string, (i: number) => string][]) {
      for (const atOnce of isAll ? [1, 250] : [250]) {
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
    }
  })

  test(`${store}: L9: the right password works after the wait of Retry-After`, async (t) => {
    const { api } = await startService(t, store)
    await api.signUp('ada', PASSWORD)
    for (let i = 0; i < 5; i += 1) t.equal((await api.login('ada', `wrong ${i}`)).status, 401)
    const refused = await api.login('ada', PASSWORD)
    t.match(refused, {
      status: 429,
      headers: { 'retry-after': /^[1-5]$/ },
      body: { error: 'temporarily_unavailable', error_description: /^too many wrong passwords: try again in [1-5] s$/ },
    })
    const seconds = Number(refused.headers['retry-after'])
    const told = Date.now()

    let answer = refused
    await eventually(async () => {
      const asked = Date.now()
      answer = await api.login('ada', PASSWORD)
      if (answer.status === 429 && asked > told + seconds * 1000) t.fail(`refused ${asked - told} ms later`)
      return answer.status !== 429
    })

    t.equal(answer.status, 200)
    for (let i = 0; i < 4; i += 1) t.equal((await api.login('ada', 'wrong')).status, 401, 'the count starts again')
    t.equal((await api.login('ada', PASSWORD)).status, 200)
  })

  test(`${store}: the wait doubles after each wrong password, and the right password is refused meanwhile`, async (t) => {
    const { api, env } = await startService(t, store, { HASH_CONCURRENCY: '8' })
    const { body } = await api.signUp('ada', PASSWORD)
    // The cost keeps all eight in flight until the first fails, even on a busy machine.
    const costly = await hash(PASSWORD, { algorithm: 2 satisfies Algorithm.Argon2id, memoryCost: 65_536, timeCost: 6 })
    await withAccounts(env, (_users, { db }) =>
      db.updateTable('users').set({ password_hash: costly }).where('id', '=', body.id).execute(),
    )
    await Promise.all(Array.from({ length: 8 }, (_, i) => api.login('ada', `wrong ${i}`)))
    const { status, headers } = await api.login('ada', PASSWORD)
    t.equal(status, 429)
    t.ok(Number(headers['retry-after']) > 30, `${headers['retry-after']} s: 5, doubled three times`)
  })

  test(`${store}: L11: a spray over 10,000 accounts from one address ends in 429; L12: it delays nobody for whom the address is trusted`, async (t) => {
    const count = Number(process.env.LATCHKEY_TEST_SPRAY ?? 1600)
    const service = await startService(t, store, PROXIED)
    const { api } = service
    const office = '192.0.2.1'
    for (const username of ['ada', 'bob']) await api.signUp(username, PASSWORD)
    t.equal((await loginFrom(api, office, 'ada', PASSWORD)).status, 200)

    const answers = await inParallel(count, 50, (i) => loginFrom(api, office, `user${i}`, 'Summer2026!'))

    t.strictSame(others(answers), [])
    t.ok(hashed(service) <= 1500, `${hashed(service)} hashed`)
    t.ok(answers.filter(({ status }) => status !== 401).length >= count - 1500)
    const refused = await loginFrom(api, office, 'bob', PASSWORD)
    t.match(refused, { status: 429, headers: { 'retry-after': /^\d+$/ } })
    t.ok(Number(refused.headers['retry-after']) <= 600)
    t.equal((await loginFrom(api, '192.0.2.2', 'bob', PASSWORD)).status, 200, 'elsewhere he signs in')
    t.equal((await loginFrom(api, office, 'ada', PASSWORD)).status, 200, 'and she where she is known')
  })

  test(`${store}: L12: an attacker cannot lock the victim out of a trusted address`, async (t) => {
    const { api } = await startService(t, store, PROXIED)
    await api.signUp('ada', PASSWORD)
    const home = '198.51.100.7'
    t.equal((await loginFrom(api, home, 'ada', PASSWORD)).status, 200)

    const guesses = await inParallel(300, 50, (i) => loginFrom(api, addressOf(i), 'ada', 'wrong'))

    t.ok(
      guesses.filter(({ status }) => status === 429).length >= 200,
      'the account stops the guesses, because each guess has its own address',
    )
    t.equal((await loginFrom(api, home, 'ada', PASSWORD)).status, 200, 'she signs in where she always does')
    t.equal((await loginFrom(api, home, 'ada', 'mistyped')).status, 401)
    t.equal((await loginFrom(api, home, 'ada', PASSWORD)).status, 200, 'also after a mistake')
    t.equal((await loginFrom(api, '198.51.100.8', 'ada', PASSWORD)).status, 429, 'elsewhere it has to wait')
  })

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
      for (let i = 0; i < 12; i += 1) statuses.push((await loginFrom(service.api, forward(i), 'ada', 'wrong')).status)
      t.strictSame(statuses, [...Array(5).fill(401), ...Array(7).fill(429)], name)
      await service.close()
    }
  })
}
