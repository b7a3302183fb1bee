import { test } from 'tap'
import { createClient } from '../support/clients.js'
import { latchkey, operatorEnvironment } from '../support/latchkey.js'
import {
  type Environment,
  environment,
  PASSWORD,
  redisOf,
  spawnService,
  startReady,
  startServiceWith,
  temporaryFolder,
} from '../support/service.js'
import { isAll } from '../support/size.js'
import { withRedis } from '../support/store-inspection.js'

const RENEWED = 'seven tame otters hum'
const databases = isAll ? (['sqlite', 'postgres'] as const) : (['sqlite'] as const)

for (const database of databases) {
  test(`${database}: O1 a command with another store than the service is refused, and says which store is registered and what to set`, async (t) => {
    const [right, other] = [await redisOf(t), await redisOf(t)]
    const plain = await environment(t, database)
    const settings = {
      'in Redis, and the shell has none': [{ ...plain, REDIS_URL: right.url }, plain, /REDIS_URL is not set: set it/],
      'in Redis, and the shell has another': [
        { ...plain, REDIS_URL: right.url },
        { ...plain, REDIS_URL: other.url },
        /does not hold them: set REDIS_URL/,
      ],
      'in the database, and the shell has a Redis': [
        plain,
        { ...plain, REDIS_URL: other.url },
        /REDIS_URL is set: unset it/,
      ],
    } as const
    for (const [name, [env, wrong, says]] of Object.entries(settings)) {
      const { api, close } = await startReady(t, env)
      if ((await api.login('ada', PASSWORD)).status !== 200) await api.signUp('ada', PASSWORD)
      await createClient(plain, 'backend', { scopes: [] }).catch(() => {})
      const tokens = await api.tokens('ada', PASSWORD)
      const commands = [
        ['users', 'disable', 'ada'],
        ['users', 'delete', 'ada'],
        ['users', 'reset-password', 'ada'],
        ['users', 'roles', 'ada'],
        ['users', 'import', '-'],
        ['sessions', 'list', 'ada'],
        ['sessions', 'revoke', 'ada', '--all'],
        ['sessions', 'revoke', 'ada', tokens.sid],
        ['clients', 'delete', 'backend'],
        ['clients', 'list'],
      ]
      // All commands open the stores in the same way. One case tries every command, the other cases try one.
      for (const command of database === 'sqlite' && wrong === plain ? commands : commands.slice(0, 1)) {
        const ran = await latchkey(command, operatorEnvironment(wrong), RENEWED)
        t.match(ran, { code: 1, stdout: '', stderr: says }, `${name}: ${command.join(' ')}`)
        t.match(ran.stderr, /^latchkey: the database says that the sessions are in .*\n$/)
      }
      t.match((await api.refresh(tokens.refresh_token)).status, 200, 'the account is as it was')
      t.match(await latchkey(['sessions', 'list', 'ada'], operatorEnvironment(env)), {
        code: 0,
        stdout: new RegExp(tokens.sid),
      })
      t.match(await latchkey(['users', 'disable', 'ada'], operatorEnvironment(env)), {
        code: 0,
        stdout: /its sessions have ended/,
      })
      t.equal(await api.isActive(tokens.access_token), false, 'that is so')
      await latchkey(['users', 'enable', 'ada'], operatorEnvironment(env))
      await close()
    }
  })

  test(`${database}: O1 an instance with another store is refused, and the running instance still serves`, async (t) => {
    const [right, other] = [await redisOf(t), await redisOf(t)]
    const plain = await environment(t, database)
    for (const [env, wrong] of [
      [{ ...plain, REDIS_URL: right.url }, plain],
      [
        { ...plain, REDIS_URL: right.url },
        { ...plain, REDIS_URL: other.url },
      ],
      [plain, { ...plain, REDIS_URL: other.url }],
    ] as [Environment, Environment][]) {
      const { api, close } = await startReady(t, env)
      await api.signUp('ada', PASSWORD)
      const tokens = await api.tokens('ada', PASSWORD)

      const refused = await spawnService(t, wrong, undefined, 'live').then(
        () => 'it started',
        (error) => error.message,
      )

      t.match(refused, /latchkey: the database says that the sessions are in .*stop every instance first/)
      t.notMatch(refused, /\n {4}at /, 'no stack')
      t.equal(await api.isActive(tokens.access_token), true)
      t.equal((await api.login('ada', PASSWORD)).status, 200)
      await close()
    }
  })
}

test('O1 the same Redis under another address or with other credentials, and a Redis with its moved data, count as the same store', async (t) => {
  const folder = temporaryFolder(t)
  const onDisk = ['--appendonly', 'yes', '--appendfsync', 'always', '--dir', folder]
  const redis = await redisOf(t, onDisk)
  const plain = await environment(t, 'sqlite')
  const service = await startReady(t, { ...plain, REDIS_URL: redis.url })
  await service.api.signUp('ada', PASSWORD)
  const { access_token, sid } = await service.api.tokens('ada', PASSWORD)
  await withRedis(redis.url, (admin) => admin.acl('SETUSER', 'ops', 'on', '>pw', '~*', '+@all'))
  const byName = { ...plain, REDIS_URL: `redis://ops:pw@localhost:${redis.port}/0` }
  t.match(await latchkey(['sessions', 'list', 'ada'], operatorEnvironment(byName)), {
    code: 0,
    stdout: new RegExp(sid),
  })
  await service.close()
  await redis.stop()

  const moved = await redisOf(t, onDisk)
  const again = await startReady(t, { ...plain, REDIS_URL: moved.url })
  t.equal(await again.api.isActive(access_token), true, 'nobody is signed out')
})

test('O1 a Redis that a service with another database writes to is refused', async (t) => {
  const redis = await redisOf(t)
  const one = await startReady(t, { ...(await environment(t, 'sqlite')), REDIS_URL: redis.url })
  await one.api.signUp('ada', PASSWORD)
  const { access_token } = await one.api.tokens('ada', PASSWORD)

  await t.rejects(
    startServiceWith(t, { ...(await environment(t, 'sqlite')), REDIS_URL: redis.url }),
    /holds the sessions of another database, and a service writes to it/,
  )
  t.equal(await one.api.isActive(access_token), true)
})
