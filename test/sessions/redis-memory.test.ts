import { createHash } from 'node:crypto'
import { sessionKey } from '@latchkey/verifier/redis-keys'
import { type Test, test } from 'tap'
import { dictionary, unpackDevice } from '../../src/sessions/redis/device.js'
import type { NewSession } from '../../src/sessions/session.js'
import { newSession, newUserId, type OpenRedisStore, openRedisStore } from '../support/stores.js'

const IPHONE =
  'Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1'

test('a session with long values is one string in Redis, and is read unchanged', async (t) => {
  const store = await openRedisStore(t)
  await keeps(t, store, {
    username: `${'名'.repeat(64)}@${'例'.repeat(189)}`,
    clientId: 'c'.repeat(64),
    scope: Array.from({ length: 100 }, (_, i) => `scope:${i}`).join(' '),
    audience: `https://${'long.'.repeat(30)}example`,
    roles: Array.from({ length: 40 }, (_, i) => `role-${i}`),
    deviceName: '📱'.repeat(50),
    // Random text, so that compression saves nothing.
    userAgent: Array.from({ length: 150 }, (_, i) => String.fromCharCode(161 + ((i * 83) % 95))).join(''),
  })
})

test('values are cut at any place, also inside a character, and at every length near a cut', async (t) => {
  const store = await openRedisStore(t)
  for (const length of [61, 62, 63, 64, 65, 125, 126, 127, 189]) {
    const username = 'u'.repeat(length)
    await keeps(t, store, {
      username,
      scope: 's'.repeat(length),
      audience: 'a'.repeat(length + 1),
      roles: ['r'.repeat(length)],
    })
  }
  for (const before of ['', 'x', 'xx', 'xxx']) {
    const text = before + 'é𝕒'.repeat(60)
    await keeps(t, store, { scope: text, audience: text, roles: [text], userAgent: text, deviceName: text })
  }
})

test('digits are read unchanged, because Redis keeps numbers as numbers', async (t) => {
  const store = await openRedisStore(t)
  await keeps(t, store, { scope: '007', audience: '1'.repeat(70), roles: ['-0'], userAgent: '1e3', deviceName: '' })
})

test('the session of a browser takes less than 320 bytes of Redis, without the index', async (t) => {
  const { client, sessions } = await openRedisStore(t, { sessionMaxAge: 86_400_000 })
  const { session } = await sessions.create(newSession(newUserId(), { roles: [], deviceName: null, userAgent: IPHONE }))

  const bytes = (await client.memory('USAGE', sessionKey(session.sub, session.sid))) as number

  t.ok(bytes < 320, `${bytes} bytes`)
})

test('values that the first version packed are unpacked: the dictionary is unchanged', (t) => {
  const packed = Buffer.from('i1ZyTEl81DCzWAFmgZGBMUiZobGeuZKOEjExaUGNeLTQM8RbbAAA', 'base64')

  t.strictSame(unpackDevice(packed), { deviceName: 'Ada’s phone', ip: '203.0.113.7', userAgent: IPHONE })
  t.equal(
    createHash('sha256').update(dictionary).digest('hex'),
    'e26d60f37a2b22d078ab6f2cad03ff95de52e879f624cd85a07afbf16d042784',
  )
  t.end()
})

/** Creates such a session and rotates it. Returns its encoding and size in Redis. */
async function keeps(t: Test, { client, sessions }: OpenRedisStore, overrides: Partial<NewSession>): Promise<void> {
  const begun = newSession(newUserId(), overrides)
  const { username, deviceName, ip, userAgent, ...grant } = begun
  const { sub, sid } = begun

  const { session } = await sessions.create(begun)

  for (const outcome of ['rotated', 'replayed']) {
    const rotation = await sessions.rotate({ sub, sid, generation: 0 }, begun.clientId)
    const [listed] = await sessions.list(sub)
    const { authenticatedAt } = session
    const times = { lastSeenAt: listed?.lastSeenAt, expiresAt: listed?.expiresAt, authenticatedAt }
    t.match(rotation, { outcome })
    t.strictSame('session' in rotation && rotation.session, { ...grant, generation: 1, ...times })
    t.strictSame(listed, { ...begun, generation: 1, createdAt: session.createdAt, ...times })
  }
  t.equal(await client.object('ENCODING', sessionKey(sub, sid)), 'listpack')
}
