import { generateKeyPairSync } from 'node:crypto'
import { createServer } from 'node:http'
import { createVerifier, type KeyOptions, type RevocationOptions, type Verifier } from '@latchkey/verifier'
import type { Clock } from '@latchkey/verifier/clock'
import { type Test, test } from 'tap'
import { type BentClock, bentClock, CLOCK_JUMPS } from '../support/bent-clock.js'
import { eventually } from '../support/eventually.js'
import { startFeedServer } from '../support/feed-server.js'
import { listen } from '../support/key-server.js'
import { keyFileSettings, writeKeyFile } from '../support/keys.js'
import { startTcpProxy } from '../support/servers/tcp-proxy.js'
import { CLIENT, ISSUER, JWT_SECRET, PASSWORD, startService } from '../support/service.js'
import { startVerifierSetup, verdict } from '../support/verifier-setup.js'

const HOUR = 60 * 60_000
const MINUTE = 60_000

/** Each case ages an answer past a minute. A cache that reads only one of the two clocks misses one case. */
const WAYS: Record<string, (clock: BentClock) => void> = {
  'the machine was suspended for 5 minutes': (clock) => clock.suspend(5 * MINUTE + 1000),
  'the wall clock was set back by an hour, and 5 minutes went by': (clock) => {
    clock.setWall(-HOUR)
    clock.pass(5 * MINUTE + 1000)
  },
}

function verifierOf(t: Test, keys: KeyOptions, revocation: RevocationOptions, clock: Clock): Verifier {
  const verifier = createVerifier({ issuer: ISSUER, audience: ISSUER, keys, revocation }, clock)
  t.teardown(() => verifier.close())
  return verifier
}

/** Tokens live for a day, because a token that expires would hide the age of the cache. */
const LONG = { ACCESS_TTL: '24h' }

for (const [what, bend] of Object.entries(WAYS)) {
  test(`O7: introspect: ${what}: an answer is cached for at most cacheSeconds`, async (t) => {
    const { api } = await startService(t, 'sqlite', LONG)
    await api.signUp('ada', PASSWORD)
    const clock = bentClock()
    // The clock of the issuing service is an hour behind too. Otherwise `iat` would be refused.
    const keys = { secrets: [JWT_SECRET] }
    const endpoint = `${api.url}/introspect`
    const { id: clientId, secret: clientSecret } = CLIENT
    const revocation: RevocationOptions = { mode: 'introspect', endpoint, clientId, clientSecret, cacheSeconds: 60 }
    const verifier = verifierOf(t, keys, revocation, ageOnly(clock))
    const { access_token } = await api.tokens('ada', PASSWORD)
    t.equal(await verdict(verifier, access_token), 'good')
    await api.logout(access_token)
    t.equal(await verdict(verifier, access_token), 'good', 'it is remembered')

    bend(clock)
    t.equal(await verdict(verifier, access_token), 'revoked')
  })

  test(`O7: keys of an address: ${what}: a withdrawn key is not accepted again`, async (t) => {
    const [withdrawn, other] = [newKey('withdrawn'), newKey('other')]
    const service = await startService(t, 'sqlite', { ...LONG, ...keyFileSettings(writeKeyFile(t, withdrawn)) })
    await service.api.signUp('ada', PASSWORD)
    const { access_token } = await service.api.tokens('ada', PASSWORD)
    let keys = [withdrawn, other]
    let isUp = true
    const server = createServer((_request, response) => {
      if (!isUp) return void response.writeHead(503).end()
      response.end(JSON.stringify({ keys: keys.map(({ d, ...publicKey }) => publicKey) }))
    })
    const jwksUri = `http://127.0.0.1:${await listen(t, server)}/`
    const clock = bentClock()
    const verifier = verifierOf(t, { jwksUri }, { mode: 'none' }, ageOnly(clock))
    await verifier.ready()
    t.equal(await verdict(verifier, access_token), 'good')

    isUp = false
    bend(clock)
    t.equal(await verdict(verifier, access_token), 'good', 'the address is away: the keys serve on')
    isUp = true
    keys = [other]
    bend(clock)
    t.equal(await verdict(verifier, access_token), 'unknown_key')
    // Even if the address stays unreachable.
    keys = [withdrawn]
    clock.pass(2000)
    await eventually(async () => {
      clock.pass(HOUR)
      return (await verdict(verifier, access_token)) === 'good'
    })
    isUp = false
    clock.suspend(25 * HOUR)
    t.equal(await verdict(verifier, access_token), 'unavailable')
  })
}

test('O7: published keys: after a day without the service, the answer is that nobody knows', async (t) => {
  const key = newKey('first')
  const service = await startService(t, 'sqlite', { ...LONG, ...keyFileSettings(writeKeyFile(t, key)) })
  await service.api.signUp('ada', PASSWORD)
  const { access_token } = await service.api.tokens('ada', PASSWORD)
  const clock = bentClock()
  const { id: clientId, secret: clientSecret } = CLIENT
  const options = { service: service.api.url, issuer: ISSUER, audience: ISSUER, clientId, clientSecret }
  const verifier = createVerifier(options, ageOnly(clock))
  t.teardown(() => verifier.close())
  await verifier.ready()
  t.equal(await verdict(verifier, access_token), 'good')

  await service.close()
  clock.suspend(25 * HOUR)
  t.equal(await verdict(verifier, access_token), 'unavailable')
})

test('O7: a token that ends while the process is stopped in its look-up is refused', async (t) => {
  const server = await startFeedServer(t)
  const clock = bentClock()
  const { id: clientId, secret: clientSecret } = CLIENT
  const verifier = createVerifier(
    {
      issuer: server.url,
      audience: 'todo',
      keys: { secrets: [JWT_SECRET] },
      revocation: { mode: 'introspect', endpoint: `${server.url}/introspect`, clientId, clientSecret, cacheSeconds: 0 },
    },
    clock,
  )
  t.teardown(() => verifier.close())
  const { token } = server.issue()
  const release = server.holdIntrospections()
  const answer = verdict(verifier, token)
  await eventually(() => server.introspections === 1)
  clock.suspend(HOUR)
  release()
  t.equal(await answer, 'expired')
})

test('S5: follow: after a suspend, or a change of the wall clock, every acceptance asked Redis', async (t) => {
  const { redis, service, signIn } = await startVerifierSetup(t, LONG)
  const [revoked, other] = [await signIn(), await signIn()]
  for (const [what, bend] of Object.entries(CLOCK_JUMPS)) {
    const wire = await startTcpProxy(redis.port)
    t.teardown(() => wire.stop())
    const clock = bentClock()
    const verifier = verifierOf(
      t,
      { secrets: [JWT_SECRET] },
      { mode: 'follow', redis: `redis://127.0.0.1:${wire.port}` },
      clock,
    )
    await verifier.ready()
    t.equal(await verdict(verifier, other.access_token), 'good', what)

    // No message arrives from here on. Only the clocks show that the state is old.
    wire.blackhole()
    bend(clock)
    const answer = await verdict(verifier, other.access_token)
    t.ok(['unavailable', 'not_yet_valid'].includes(answer), `${what}: ${answer}`)
    await verifier.close()
  }

  const clock = bentClock()
  const verifier = verifierOf(t, { secrets: [JWT_SECRET] }, { mode: 'follow', redis: redis.url }, clock)
  await verifier.ready()
  clock.setWall(HOUR)
  await service.api.logout(revoked.access_token)
  t.equal(await verdict(verifier, revoked.access_token), 'revoked', 'Redis is asked while the clocks disagree')
  t.equal(await verdict(verifier, other.access_token), 'good')
})

/** A clock with the right wall time for `exp` and `iat`, whose ages follow the bent clock. */
function ageOnly(clock: BentClock): Clock {
  return { ...clock, wall: Date.now }
}

function newKey(kid: string) {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return { ...privateKey.export({ format: 'jwk' }), kid, alg: 'ES256', use: 'sig' }
}
