import type { Verifier } from '@latchkey/verifier'
import { storeIdKey } from '@latchkey/verifier/redis-keys'
import t, { type Test, test } from 'tap'
import { basicAuthorization } from '../support/api.js'
import { createClient } from '../support/clients.js'
import { eventually } from '../support/eventually.js'
import { latchkey, operatorEnvironment } from '../support/latchkey.js'
import { startTcpProxy } from '../support/servers/tcp-proxy.js'
import {
  type Environment,
  environment,
  PASSWORD,
  type RunningService,
  redisOf,
  spawnService,
  startReady,
  startServiceWith,
} from '../support/service.js'
import { isAll } from '../support/size.js'
import { countSessionRows, redisKeys, withRedis } from '../support/store-inspection.js'
import { startVerifier, verdict } from '../support/verifier-setup.js'

// The tests wait for each start of the service, so they run side by side.
t.jobs = 4

const RENEWED = 'seven tame otters hum'
const databases = isAll ? (['sqlite', 'postgres'] as const) : (['sqlite'] as const)

/** Without those about a connection to Redis: on a busy machine it may exceed a timeout. */
const warnings = (log: RunningService['log']) =>
  log
    .filter(({ level }) => level === 40)
    .map(({ msg }) => String(msg))
    .filter((msg) => !msg.includes('connection to Redis'))

const isReady = async (managementUrl: string) => (await fetch(`${managementUrl}/readyz`)).ok

for (const database of databases) {
  test(`${database}: O2: sessions move to Redis and back: no ended session becomes live`, {
    buffered: true,
  }, async (t) => {
    const redis = await redisOf(t)
    const plain = await environment(t, database)
    await switches(t, plain, { ...plain, REDIS_URL: redis.url })
  })

  test(`${database}: O2: sessions move back to a Redis that was unreachable meanwhile: no ended session becomes live`, {
    buffered: true,
  }, async (t) => {
    const redis = await redisOf(t)
    const wire = await startTcpProxy(redis.port)
    t.teardown(() => wire.stop())
    const plain = await environment(t, database)
    await switches(t, { ...plain, REDIS_URL: `redis://127.0.0.1:${wire.port}` }, plain, {
      away: () => wire.cut(),
      back: () => wire.restore(),
    })
  })

  test(`${database}: O2: an instance that was suspended during the move serves no session, and says why`, {
    buffered: true,
  }, async (t) => {
    const redis = await redisOf(t)
    const plain = await environment(t, database)
    const old = await spawnService(t, plain)
    await old.api.signUp('ada', PASSWORD)
    const before = await old.api.tokens('ada', PASSWORD)
    old.process.kill('SIGSTOP')

    const { api } = await startReady(t, { ...plain, REDIS_URL: redis.url })
    const after = await api.tokens('ada', PASSWORD)
    old.process.kill('SIGCONT')

    // These are the first answers, before any timer.
    const answers = await Promise.all([
      old.once.introspect(before.access_token),
      old.once.login('ada', PASSWORD),
      old.once.refresh(before.refresh_token),
      old.once.logout(before.access_token),
    ])
    t.strictSame(
      answers.map(({ status }) => status),
      [503, 503, 503, 503],
    )
    t.equal(await isReady(old.managementUrl), false)
    t.match(await (await fetch(`${old.managementUrl}/readyz`)).text(), /the sessions are in the Redis at/)
    t.equal(await api.isActive(before.access_token), false)
    t.equal(await api.isActive(after.access_token), true)
  })
}

test('O2: sessions move from one Redis to another and back: no ended session becomes live', {
  buffered: true,
}, async (t) => {
  const [one, two] = [await redisOf(t), await redisOf(t)]
  const plain = await environment(t, 'sqlite')
  await switches(t, { ...plain, REDIS_URL: one.url }, { ...plain, REDIS_URL: two.url })
})

/** Moves from one store to the other and back. `reach` makes the first store unreachable meanwhile. */
async function switches(
  t: Test,
  first: Environment,
  second: Environment,
  reach: { away(): void; back(): void } = { away: () => {}, back: () => {} },
): Promise<void> {
  const client = await createClient(first, 'backend', { scopes: ['todo:read'] })
  const ask = async ({ api }: RunningService): Promise<string> =>
    (await api.call('/token', { form: { grant_type: 'client_credentials' }, headers: basicAuthorization(client) })).body
      .access_token
  const revoke = ({ api }: RunningService, token: string) =>
    api.call('/revoke', { form: { token }, headers: basicAuthorization(client) })

  let service = await startReady(t, first)
  for (const name of ['ada', 'bob', 'eve']) await service.api.signUp(name, PASSWORD)
  const old = await Promise.all(['ada', 'bob', 'eve'].map((name) => service.api.tokens(name, PASSWORD)))
  const oldOfClient = await ask(service)
  t.equal(await service.api.isActive(oldOfClient), true)
  await service.close()
  reach.away()

  service = await startReady(t, second)
  for (const { access_token, refresh_token } of old) {
    t.equal(await service.api.isActive(access_token), false, 'who was signed in has to sign in again')
    t.equal((await service.api.logout(access_token)).status, 204)
    t.equal((await service.api.refresh(refresh_token)).status, 400)
  }
  const renewed = await service.api.tokens('ada', PASSWORD)
  t.equal((await service.api.call('/logout-all', { method: 'POST', bearer: renewed.access_token })).status, 204)
  const bob = await service.api.tokens('bob', PASSWORD)
  const change = { current_password: PASSWORD, new_password: RENEWED }
  t.equal((await service.api.call('/users/me/password', { json: change, bearer: bob.access_token })).status, 204)
  t.match(await latchkey(['users', 'disable', 'eve'], operatorEnvironment(second)), {
    code: 0,
    stdout: /its sessions have ended/,
  })
  t.equal((await revoke(service, oldOfClient)).status, 200)
  const newOfClient = await ask(service)
  t.equal(await service.api.isActive(newOfClient), true)
  await service.close()
  reach.back()

  service = await startReady(t, first)
  for (const { access_token, refresh_token } of [...old, renewed, bob]) {
    t.equal(await service.api.isActive(access_token), false, 'it does not live again')
    t.equal((await service.api.refresh(refresh_token)).status, 400)
  }
  t.equal(await service.api.isActive(oldOfClient), false)
  t.equal(await service.api.isActive(newOfClient), false)
  t.equal(await service.api.isActive(await ask(service)), true, 'a new one is good')
  const again = await service.api.tokens('bob', RENEWED)
  t.equal(await service.api.isActive(again.access_token), true)
  await service.close()

  service = await startReady(t, first)
  t.equal(await service.api.isActive(again.access_token), true, 'a restart on the same store signs nobody out')
}

test('O2: several instances that start at once on a new store agree, and serve', { buffered: true }, async (t) => {
  const redis = await redisOf(t)
  const plain = await environment(t, 'postgres')
  const before = await startReady(t, plain)
  await before.api.signUp('ada', PASSWORD)
  await before.close()

  const instances = await Promise.all([1, 2, 3].map(() => startReady(t, { ...plain, REDIS_URL: redis.url })))

  const { access_token } = await (instances[0] as RunningService).api.tokens('ada', PASSWORD)
  for (const { api } of instances) t.equal(await api.isActive(access_token), true)
})

test('O2: a Redis that returns with an older store id under a running service is emptied, and the service recovers', {
  buffered: true,
}, async (t) => {
  const redis = await redisOf(t)
  const env = await environment(t, 'sqlite', { REDIS_URL: redis.url })
  const { api, once, managementUrl, log } = await startReady(t, env)
  await api.signUp('ada', PASSWORD)
  const { access_token } = await api.tokens('ada', PASSWORD)

  await withRedis(redis.url, (admin) => admin.set('lk1:store', 'of-an-older-backup'))

  await eventually(async () => (await once.introspect(access_token)).status === 503)
  t.match(await (await fetch(`${managementUrl}/readyz`)).text(), /does not hold them/)
  await eventually(() => isReady(managementUrl))
  t.equal(await api.isActive(access_token), false)
  t.equal((await api.login('ada', PASSWORD)).status, 200)
  t.ok(
    log.some(({ level, msg }) => level === 50 && /^the service answers no requests about sessions: /.test(String(msg))),
  )
})

test('O2: a start goes on when Redis fails while the service looks whether another one writes to it', {
  buffered: true,
}, async (t) => {
  const redis = await redisOf(t)
  const setRights = (...rights: string[]) =>
    withRedis(redis.url, (admin) => admin.call('ACL', 'SETUSER', 'lk', ...rights))
  await withRedis(redis.url, (admin) => admin.set('lk1:store', 'of-another-database'))
  await setRights('on', '>secret', '~*', '&*', '+@all', '-xrevrange')
  const env = await environment(t, 'sqlite', { REDIS_URL: redis.url.replace('//', '//lk:secret@') })

  const { api, managementUrl } = await startServiceWith(t, env)

  t.match(await (await fetch(`${managementUrl}/readyz`)).text(), /redis/)
  t.equal(await isReady(managementUrl), false)
  await setRights('+xrevrange')
  await eventually(() => isReady(managementUrl))
  t.equal((await api.signUp('ada', PASSWORD)).status, 201)
})

test('O2: a Redis that is left behind is emptied: services that look sessions up there refuse them', {
  buffered: true,
}, async (t) => {
  const redis = await redisOf(t)
  const plain = await environment(t, 'sqlite')
  const before = await startReady(t, { ...plain, REDIS_URL: redis.url })
  await before.api.signUp('ada', PASSWORD)
  const { access_token } = await before.api.tokens('ada', PASSWORD)
  const verifiers = [
    await startVerifier(t, { mode: 'lookup', redis: redis.url }),
    await startVerifier(t, { mode: 'follow', redis: redis.url }),
  ]
  for (const verifier of verifiers) t.equal(await verdict(verifier, access_token), 'good')
  await before.close()

  await startReady(t, plain)

  await eventually(async () => (await verdict(verifiers[1] as Verifier, access_token)) !== 'good')
  for (const verifier of verifiers) t.not(await verdict(verifier, access_token), 'good')
})

test('O2: a Redis that is left behind and breaks the first connection is emptied by the next', {
  buffered: true,
}, async (t) => {
  const redis = await redisOf(t)
  const wire = await startTcpProxy(redis.port)
  t.teardown(() => wire.stop())
  const plain = await environment(t, 'sqlite')
  const before = await startReady(t, { ...plain, REDIS_URL: `redis://127.0.0.1:${wire.port}` })
  await before.close()
  t.ok(await withRedis(redis.url, (admin) => admin.get(storeIdKey)))

  wire.hold()
  const starting = startReady(t, plain)
  await eventually(() => wire.held > 0)
  wire.cut()
  wire.restore()
  wire.release()
  const { log } = await starting

  t.match(warnings(log), [/^sessions are now in the database/])
  t.strictSame(warnings(log).slice(1), [], 'nobody is told to empty the Redis')
  t.equal(await withRedis(redis.url, (admin) => admin.get(storeIdKey)), null)
})

test('O2: a Redis that is left behind and cannot be emptied is reported, without its password', {
  buffered: true,
}, async (t) => {
  const redis = await redisOf(t, ['--requirepass', 'canary-password'])
  const plain = await environment(t, 'sqlite')
  const url = redis.url.replace('//', '//:canary-password@')
  await (await startReady(t, { ...plain, REDIS_URL: url })).close()

  const { log } = await startReady(t, plain)

  const told = warnings(log)
  t.match(told, [/^sessions are now in the database/, /^the previous session store, .* could not be emptied: NOAUTH/])
  t.notMatch(JSON.stringify(log), /canary/)
})

test('O2: a Redis that was emptied while no instance ran is not reported as left behind, and a command says what to start', {
  buffered: true,
}, async (t) => {
  const redis = await redisOf(t, ['--requirepass', 'canary-password'])
  const url = redis.url.replace('//', '//:canary-password@')
  const env = await environment(t, 'sqlite', { REDIS_URL: url })
  const before = await startReady(t, env)
  await before.api.signUp('ada', PASSWORD)
  const { access_token } = await before.api.tokens('ada', PASSWORD)
  await before.close()
  await withRedis(url, (admin) => admin.flushdb())

  const refused = await latchkey(['users', 'list'], operatorEnvironment(env))
  const { api, log } = await startReady(t, env)

  t.match(refused, { code: 1, stdout: '', stderr: /does not hold them: if it was emptied, start the service first/ })
  const told = warnings(log)
  t.match(told, [/^sessions are now in the Redis at .*: Redis was emptied\. Every user must sign in again$/])
  t.strictSame(told.slice(1), [], 'nobody is told to empty the Redis that is in use')
  t.equal(await api.isActive(access_token), false)
  t.match(await latchkey(['users', 'list'], operatorEnvironment(env)), { code: 0, stdout: /ada/ })
})

test('O2: two instances that start together on an emptied Redis both serve', { buffered: true }, async (t) => {
  const redis = await redisOf(t)
  const env = await environment(t, 'postgres', { REDIS_URL: redis.url })
  const before = await startReady(t, env)
  await before.api.signUp('ada', PASSWORD)
  await before.close()
  await withRedis(redis.url, (admin) => admin.flushdb())

  // In processes of their own: the first checks of both are as close to each other as they get.
  const instances = await Promise.all([1, 2].map(() => spawnService(t, env, undefined, 'ready')))

  for (const { api } of instances) t.equal((await api.login('ada', PASSWORD)).status, 200)
})

test('O2: a move to Redis empties the session tables, and changes only the store id in Redis', {
  buffered: true,
}, async (t) => {
  const redis = await redisOf(t)
  const plain = await environment(t, 'sqlite')
  const before = await startReady(t, plain)
  await before.api.signUp('ada', PASSWORD)
  await before.api.tokens('ada', PASSWORD)
  await before.close()
  t.equal(await countSessionRows(plain), 1)

  await startReady(t, { ...plain, REDIS_URL: redis.url })

  t.equal(await countSessionRows(plain), 0)
  // The first heartbeat creates the feed.
  await eventually(async () => (await redisKeys(redis.url)).some(({ key }) => key === 'lk1:feed'))
  const withoutTtl = (await redisKeys(redis.url)).filter(({ ttl }) => ttl === -1).map(({ key }) => key)
  t.strictSame(withoutTtl, ['lk1:feed'])
})
