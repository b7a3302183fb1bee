import { test } from 'tap'
import { eventually } from '../support/eventually.js'
import { startTcpProxy } from '../support/servers/tcp-proxy.js'
import { scaledLimit } from '../support/time-limits.js'
import { startVerifier, startVerifierSetup, verdictOnce } from '../support/verifier-setup.js'

for (const mode of ['lookup', 'follow'] as const) {
  test(`F3: ${mode}: a verifier refuses tokens within 1.5 s of a stall of Redis, and recovers within 3 s`, async (t) => {
    const { redis, signIn } = await startVerifierSetup(t)
    const { access_token: token } = await signIn()
    const verifier = await startVerifier(t, { mode, redis: redis.url })
    redis.process.kill('SIGSTOP')
    t.teardown(() => redis.process.kill('SIGCONT'))
    const refused = await eventually(async () => (await verdictOnce(verifier, token)) === 'unavailable')
    t.ok(refused < scaledLimit(1500), `refused after ${refused} ms`)
    redis.process.kill('SIGCONT')
    const recovered = await eventually(async () => (await verdictOnce(verifier, token)) === 'good')
    t.ok(recovered < scaledLimit(3000), `recovered after ${recovered} ms`)
  })

  test(`F14: ${mode}: a verifier with a half-open connection knows of a revocation within 3 s`, async (t) => {
    const { redis, service, signIn } = await startVerifierSetup(t)
    const { access_token: token } = await signIn()
    const wire = await startTcpProxy(redis.port)
    t.teardown(() => wire.stop())
    const verifier = await startVerifier(t, { mode, redis: `redis://127.0.0.1:${wire.port}` })
    wire.blackhole()
    wire.restore()
    await service.api.logout(token)
    const took = await eventually(async () => (await verdictOnce(verifier, token)) === 'revoked')
    t.ok(took < scaledLimit(3000), `revoked after ${took} ms`)
  })
}

test('F31: follow: without the service and Redis a verifier refuses tokens within 1.5 s', async (t) => {
  const { redis, service, signIn } = await startVerifierSetup(t)
  const { access_token: token } = await signIn()
  const verifier = await startVerifier(t, { mode: 'follow', redis: redis.url })
  await service.close()
  await redis.stop()
  const took = await eventually(async () => (await verdictOnce(verifier, token)) === 'unavailable')
  t.ok(took < scaledLimit(1500), `refused after ${took} ms`)
})

test('each of ten followers knows of a revocation within a second', async (t) => {
  const { redis, service, signIn } = await startVerifierSetup(t)
  const followers = await Promise.all(
    Array.from({ length: 10 }, () => startVerifier(t, { mode: 'follow', redis: redis.url })),
  )
  const { access_token: token } = await signIn()
  await service.api.logout(token)
  const took = await eventually(async () => {
    const verdicts = await Promise.all(followers.map((follower) => verdictOnce(follower, token)))
    return verdicts.every((answer) => answer === 'revoked')
  })
  t.ok(took < scaledLimit(1000), `revoked after ${took} ms`)
})
