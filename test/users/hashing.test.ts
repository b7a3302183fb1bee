import { setImmediate } from 'node:timers/promises'
import { type Algorithm, hash } from '@node-rs/argon2'
import { t as file, test } from 'tap'
import { Unavailable } from '../../src/unavailable.js'
import { createPasswordHashing } from '../../src/users/password-hashing.js'
import { withAccounts } from '../support/accounts.js'
import {
  accountStores,
  type Environment,
  PASSWORD,
  type RunningService,
  startService,
  storeFailures,
} from '../support/service.js'

const storedHash = (env: Environment, id: string) =>
  withAccounts(env, (_users, { db }) =>
    db.selectFrom('users').select(['password_hash', 'password_version']).where('id', '=', id).executeTakeFirstOrThrow(),
  )

const storeHash = (env: Environment, id: string, phc: string) =>
  withAccounts(env, (_users, { db }) =>
    db.updateTable('users').set({ password_hash: phc }).where('id', '=', id).execute(),
  )

test('a store failure rejects the callers that wait, and no later caller', async (t) => {
  const hashing = createPasswordHashing({ concurrency: 1, queue: 64 })
  let started = 0
  const fail = () =>
    hashing.withSlot(undefined, async () => {
      started += 1
      await setImmediate()
      throw new Unavailable('redis', 'it stalls')
    })
  const succeed = () => hashing.withSlot(undefined, async () => 'done')
  let after: Promise<string>[] = []
  const before = Array.from({ length: 50 }, fail)
  before[0]?.catch(() => {
    // The queue still rejects the callers before these.
    after = Array.from({ length: 5 }, succeed)
  })
  for (const one of await Promise.allSettled(before)) t.match(one, { reason: { message: 'it stalls' } })
  t.ok(started < 10, `${started} of 50 started`)
  t.strictSame(await Promise.all(after), Array(5).fill('done'))
  t.same(hashing.load(), { active: 0, waiting: 0 })
})

for (const store of accountStores) {
  // One service for the tests about stored hashes. Each test has its own people.
  let started: Promise<RunningService> | undefined
  const shared = () => (started ??= startService(file, store, { HASH_COST: 'full' }))

  for (const queue of [0, 1, 2]) {
    test(`${store}: HASH_QUEUE=${queue}: further sign-ins get 503 with Retry-After, and introspection goes on`, async (t) => {
      const { api, log } = await startService(t, store, {
        HASH_COST: 'full',
        HASH_CONCURRENCY: '1',
        HASH_QUEUE: String(queue),
      })
      await api.signUp('ada', PASSWORD)
      const { access_token } = await api.tokens('ada', PASSWORD)

      const storm = Promise.all(Array.from({ length: 40 }, () => api.login('ada', PASSWORD)))
      let isOver = false
      const over = storm.finally(() => {
        isOver = true
      })
      let introspections = 0
      let unavailable = 0
      while (!isOver) {
        const { status, body } = await api.introspect(access_token)
        if (status === 503) unavailable += 1
        else if (status !== 200 || body.active !== true) t.fail(`introspection answered ${status}`)
        else introspections += 1
      }
      t.ok(unavailable <= storeFailures(log).length, 'no introspection waits in the queue')

      const answers = await over
      const refused = answers.filter(({ status }) => status !== 200)
      t.ok(answers.length - refused.length >= 1 + queue, 'sign-ins with a place succeed')
      t.ok(refused.length > 0, 'the others are refused')
      for (const { status, headers, body } of refused) {
        t.match({ status, error: body.error }, { status: 503, error: 'temporarily_unavailable' })
        t.match(headers['retry-after'], /^[1-9]\d*$/)
      }
      t.ok(introspections > 0)
      t.ok(await api.tokens('ada', PASSWORD), 'the queue accepts sign-ins again')
    })
  }

  test(`${store}: everything that hashes waits in the queue: sign-up, a password change, a deletion`, async (t) => {
    const { api } = await startService(t, store, { HASH_COST: 'full', HASH_CONCURRENCY: '1', HASH_QUEUE: '0' })
    await api.signUp('ada', PASSWORD)
    const { access_token } = await api.tokens('ada', PASSWORD)
    const calls: [string, (bearer: string, person: string) => ReturnType<typeof api.call>][] = [
      ['sign-up', (_, person) => api.call('/users', { json: { username: `${person}-too`, password: PASSWORD } })],
      ['unknown user', (_, person) => api.login(`${person}-nobody`, PASSWORD)],
      [
        'change',
        (bearer) =>
          api.call('/users/me/password', { bearer, json: { current_password: 'wrong', new_password: `${PASSWORD}!` } }),
      ],
      ['deletion', (bearer) => api.call('/users/me', { method: 'DELETE', bearer, json: { password: 'wrong' } })],
    ]
    for (const [name, call] of calls) {
      let refused: Awaited<ReturnType<typeof call>> | undefined
      // A call that arrives between two sign-ins finds a place, so it is repeated. Each time another person makes it, because
      // the throttle refuses a person's sixth wrong password before the queue does.
      for (let round = 0; refused === undefined && round < 20; round += 1) {
        const person = `${name.slice(0, 3)}-${round}`
        await api.signUp(person, PASSWORD)
        const bearer = (await api.tokens(person, PASSWORD)).access_token
        let isOver = false
        const signIns = Array.from({ length: 4 }, async () => {
          while (!isOver) await api.login('ada', PASSWORD)
        })
        const answer = await call(bearer, person)
        isOver = true
        await Promise.all(signIns)
        if (answer.status === 503) refused = answer
      }
      t.match(
        refused,
        { status: 503, headers: { 'retry-after': /^\d+$/ }, body: { error: 'temporarily_unavailable' } },
        name,
      )
    }
    t.equal(await api.isActive(access_token), true)
  })

  test(`${store}: sign-in replaces a hash of weaker parameters, and signs nobody out`, async (t) => {
    const { api, env } = await shared()
    const { body: ada } = await api.signUp('ada1', PASSWORD)
    const before = await api.tokens('ada1', PASSWORD)
    const weaker: [string, object][] = [
      ['less memory', { algorithm: 2 satisfies Algorithm.Argon2id, memoryCost: 8192, timeCost: 2, parallelism: 1 }],
      ['fewer passes', { algorithm: 2 satisfies Algorithm.Argon2id, memoryCost: 19_456, timeCost: 1, parallelism: 1 }],
      ['argon2i', { algorithm: 1 satisfies Algorithm.Argon2i, memoryCost: 19_456, timeCost: 2, parallelism: 1 }],
    ]
    for (const [name, parameters] of weaker) {
      const weak = await hash(PASSWORD, parameters)
      await storeHash(env, ada.id, weak)

      t.equal((await api.login('ada1', 'not the password')).status, 401)
      t.equal((await storedHash(env, ada.id)).password_hash, weak, `${name}: a wrong password changes nothing`)
      t.equal((await api.login('ada1', PASSWORD)).status, 200)

      const { password_hash, password_version } = await storedHash(env, ada.id)
      t.match(password_hash, /^\$argon2id\$v=19\$m=19456,t=2,p=1\$/, name)
      t.equal(password_version, 1, 'a rehash does not count as a password change')
      t.equal((await api.login('ada1', PASSWORD)).status, 200)
      t.equal((await storedHash(env, ada.id)).password_hash, password_hash, `${name}: once`)
    }
    t.equal(await api.isActive(before.access_token), true)
  })

  test(`${store}: sign-in keeps a hash of stronger parameters`, async (t) => {
    const { api, env } = await shared()
    const { body: ada } = await api.signUp('ada2', PASSWORD)
    const strong = await hash(PASSWORD, {
      algorithm: 2 satisfies Algorithm.Argon2id,
      memoryCost: 32_768,
      timeCost: 3,
      parallelism: 2,
    })
    await storeHash(env, ada.id, strong)
    t.equal((await api.login('ada2', PASSWORD)).status, 200)
    t.equal((await storedHash(env, ada.id)).password_hash, strong)
  })

  test(`${store}: two accounts with one password have different hashes, and the database holds no password`, async (t) => {
    const { api, env } = await shared()
    const { body: ada } = await api.signUp('ada3', PASSWORD)
    const { body: eve } = await api.signUp('eve3', PASSWORD)
    const hashes = [await storedHash(env, ada.id), await storedHash(env, eve.id)].map((row) => row.password_hash)
    t.not(hashes[0], hashes[1])
    const rows = await withAccounts(env, (_users, { db }) => db.selectFrom('users').selectAll().execute())
    t.notMatch(JSON.stringify(rows), PASSWORD)
  })
}
