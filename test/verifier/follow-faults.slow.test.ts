import { setTimeout as sleep } from 'node:timers/promises'
import { test } from 'tap'
import { eventually } from '../support/eventually.js'
import { startRedis } from '../support/servers/redis.js'
import { resultOrLate, startVerifier, startVerifierSetup, verdictOnce } from '../support/verifier-setup.js'

/** Neither of these codes is ever an acceptance. */
const REFUSALS = ['revoked', 'unavailable']

test('F6: after Redis is emptied no revoked token is accepted, whether the follower knew the revocation or not', async (t) => {
  const { redis, admin, service, signIn } = await startVerifierSetup(t)
  const [known, other] = [await signIn(), await signIn()]
  const verifier = await startVerifier(t, { mode: 'follow', redis: redis.url })
  await service.api.logout(known.access_token)
  await eventually(async () => (await verdictOnce(verifier, known.access_token)) === 'revoked')

  await admin.flushall()
  const late = await startVerifier(t, { mode: 'follow', redis: redis.url })
  // All sessions are gone. Until the follower notices, it may accept tokens for its maximum staleness.
  await eventually(async () => (await verdictOnce(verifier, other.access_token)) === 'revoked')
  const deadline = Date.now() + 2000
  while (Date.now() < deadline) {
    if ((await verdictOnce(verifier, known.access_token)) !== 'revoked') t.fail('a known revocation was forgotten')
    for (const follower of [verifier, late]) {
      for (const { access_token } of [known, other]) {
        if (!REFUSALS.includes(await verdictOnce(follower, access_token))) t.fail('a token came back to life')
      }
    }
    await sleep(5)
  }
  const fresh = await signIn()
  await eventually(async () => (await verdictOnce(verifier, fresh.access_token)) === 'good')
  await eventually(async () => (await verdictOnce(late, fresh.access_token)) === 'good')
})

test('F6: after Redis restarts empty no revoked token is accepted', async (t) => {
  const { redis, service, signIn } = await startVerifierSetup(t)
  const [known, unknown] = [await signIn(), await signIn()]
  const verifier = await startVerifier(t, { mode: 'follow', redis: redis.url })
  await service.api.logout(known.access_token)
  await eventually(async () => (await verdictOnce(verifier, known.access_token)) === 'revoked')
  // This session ends where no follower of the restarted Redis can read it.
  await service.api.logout(unknown.access_token)

  await redis.stop()
  const again = await startRedis({ port: redis.port })
  t.teardown(() => again.stop())
  await eventually(async () => (await service.api.signUp('after', 'correct horse battery staple')).status === 201)
  const late = await startVerifier(t, { mode: 'follow', redis: redis.url })
  const deadline = Date.now() + 2000
  while (Date.now() < deadline) {
    if ((await verdictOnce(verifier, known.access_token)) !== 'revoked') t.fail('a known revocation was forgotten')
    for (const { access_token } of [known, unknown]) {
      if (!REFUSALS.includes(await verdictOnce(late, access_token))) t.fail('a token came back to life')
    }
    await sleep(5)
  }
  const fresh = await service.api.tokens('after', 'correct horse battery staple')
  await eventually(async () => (await verdictOnce(verifier, fresh.access_token)) === 'good')
  await eventually(async () => (await verdictOnce(late, fresh.access_token)) === 'good')
})

test('F31: without the service and Redis tokens are refused, and a known revoked token is never accepted', async (t) => {
  const { redis, service, signIn } = await startVerifierSetup(t)
  const [known, other] = [await signIn(), await signIn()]
  const verifier = await startVerifier(t, { mode: 'follow', redis: redis.url })
  await service.api.logout(known.access_token)
  await eventually(async () => (await verdictOnce(verifier, known.access_token)) === 'revoked')

  await service.close()
  await redis.stop()
  await eventually(async () => {
    if ((await verdictOnce(verifier, known.access_token)) !== 'revoked') t.fail('a known revocation was forgotten')
    return (await verdictOnce(verifier, other.access_token)) === 'unavailable'
  })
  for (let i = 0; i < 200; i++) {
    t.equal(await verdictOnce(verifier, known.access_token), 'revoked')
    t.equal(await verdictOnce(verifier, other.access_token), 'unavailable')
    await sleep(5)
  }
})

test('F3: while Redis stalls, memory answers until it is stale, then tokens are refused in time; then the follower recovers', async (t) => {
  const { redis, signIn } = await startVerifierSetup(t)
  const { access_token } = await signIn()
  const verifier = await startVerifier(t, { mode: 'follow', redis: redis.url })

  redis.process.kill('SIGSTOP')
  t.teardown(() => redis.process.kill('SIGCONT'))
  const stalled = performance.now()
  const deadline = stalled + 4000
  while (performance.now() < deadline) {
    const asked = performance.now()
    const answer = await resultOrLate(verdictOnce(verifier, access_token), 400)
    if (answer === 'late') t.fail('it took more than 400 ms')
    if (answer === 'good' && asked - stalled > 1000) t.fail(`accepted ${asked - stalled} ms after the stall`)
    await sleep(5)
  }
  t.equal(await verdictOnce(verifier, access_token), 'unavailable')

  redis.process.kill('SIGCONT')
  await eventually(async () => (await verdictOnce(verifier, access_token)) === 'good')
})
