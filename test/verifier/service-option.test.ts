import { createServer } from 'node:http'
import { createVerifier, type ServiceOptions, type Verifier } from '@latchkey/verifier'
import { type Clock, systemClock } from '@latchkey/verifier/clock'
import { type Test, test } from 'tap'
import { bentClock } from '../support/bent-clock.js'
import { countAcceptedLate, eventually } from '../support/eventually.js'
import { startFeedServer } from '../support/feed-server.js'
import { listen } from '../support/key-server.js'
import { CLIENT } from '../support/service.js'
import { verdict, verdictOnce } from '../support/verifier-setup.js'

function verifierOf(
  t: Test,
  service: string,
  changes: Partial<ServiceOptions> = {},
  clock: Clock = systemClock,
): Verifier {
  const options = { service, audience: 'todo', clientId: CLIENT.id, clientSecret: CLIENT.secret, ...changes }
  const verifier = createVerifier(options, clock)
  t.teardown(() => verifier.close())
  return verifier
}

test('the verifier finds the rest in the metadata, asks once about a signature with a shared secret, and then follows', async (t) => {
  const server = await startFeedServer(t)
  const clock = bentClock()
  const verifier = verifierOf(t, server.url, {}, clock)
  const [{ token, sid }, other] = [server.issue(), server.issue()]
  t.equal(await verdict(verifier, token), 'good', 'before ready, too')
  await verifier.ready()
  await eventually(async () => {
    const before = server.introspections
    return (await verdict(verifier, token)) === 'good' && server.introspections === before
  })
  const before = server.introspections
  for (let i = 0; i < 100; i++) await verifier.verify(token)
  t.equal(server.introspections, before, 'the signature is known')

  server.revoke(sid)
  t.equal(await countAcceptedLate(async () => (await verdict(verifier, token)) !== 'good'), 0)
  await eventually(async () => (await verdict(verifier, token)) === 'revoked')
  t.equal(await verdict(verifier, `${other.token.slice(0, -4)}AAAA`), 'revoked', 'forged')
  t.equal(await verdict(verifier, other.token), 'good')
  t.equal(await verdict(verifier, server.issue({ aud: 'bills' }).token), 'wrong_audience')
  t.equal(await verdict(verifier, server.issue({ iss: 'http://elsewhere' }).token), 'wrong_issuer')
  t.equal(await verdict(verifier, 'no token'), 'malformed')
  const short = server.issue({ exp: Math.floor(Date.now() / 1000) + 60 })
  t.equal(await verdict(verifier, short.token), 'good')
  clock.pass(60_000)
  t.equal(await verdict(verifier, short.token), 'expired')
})

test('a slash at the end and the names of the loopback interface make no difference', async (t) => {
  const server = await startFeedServer(t)
  for (const service of [`${server.url}/`, server.url.replace('127.0.0.1', 'localhost')]) {
    const verifier = verifierOf(t, service)
    await verifier.ready()
    t.equal(await verdict(verifier, server.issue().token), 'good')
  }
})

test('another issuer is refused unless it is named, and then its addresses are used at the service', async (t) => {
  const server = await startFeedServer(t)
  const issuer = 'https://auth.example.com/id'
  server.metadata = Object.fromEntries(
    Object.entries(server.metadata).map(([name, value]) => [name, String(value).replace(server.url, issuer)]),
  )
  await Promise.all([
    t.rejects(verifierOf(t, server.url).ready(), { message: `if ${issuer} is right, set issuer to it` }),
    t.rejects(verifierOf(t, server.url, { issuer: 'https://auth.example.com' }).ready(), { message: /another issuer/ }),
  ])
  const verifier = verifierOf(t, server.url, { issuer })
  await verifier.ready()
  const { token, sid } = server.issue({ iss: issuer })
  t.equal(await verdict(verifier, token), 'good')
  server.revoke(sid)
  await eventually(async () => (await verdict(verifier, token)) === 'revoked')
})

test('metadata that names an address of another server is refused, and that server hears nothing', async (t) => {
  let calls = 0
  const canary = createServer((_request, response) => {
    calls += 1
    response.end('{"active":true,"keys":[]}')
  })
  const elsewhere = `http://127.0.0.1:${await listen(t, canary)}`
  for (const name of ['jwks_uri', 'introspection_endpoint', 'revocation_feed_endpoint']) {
    for (const address of [
      (url: string) => url.replace(/^http:\/\/[^/]+/, elsewhere),
      (url: string) => url.replace(/^(http:\/\/[^/]+)/, `$1@${new URL(elsewhere).host}`),
      (url: string) => url.replace(/^(http:\/\/[^/]+)\//, `$1.evil.test/`),
      () => '//evil.test/introspect',
      () => 'file:///etc/passwd',
      () => 7,
    ]) {
      const server = await startFeedServer(t)
      server.metadata = { ...server.metadata, [name]: address(String(server.metadata[name])) }
      const verifier = verifierOf(t, server.url)
      t.equal(await verdictOnce(verifier, server.issue().token), 'unavailable')
    }
  }
  const redirecting = createServer((_request, response) => {
    response.writeHead(307, { location: `${elsewhere}/.well-known/oauth-authorization-server` }).end()
  })
  const server = await startFeedServer(t)
  const verifier = verifierOf(t, `http://127.0.0.1:${await listen(t, redirecting)}`)
  t.equal(await verdictOnce(verifier, server.issue().token), 'unavailable')
  t.equal(calls, 0)
})

test('the service comes later: tokens are refused until then, and the verifier recovers alone', async (t) => {
  const server = await startFeedServer(t)
  const { metadata } = server
  server.metadata = {}
  const verifier = verifierOf(t, server.url)
  const { token } = server.issue()
  t.equal(await verdictOnce(verifier, token), 'unavailable')
  server.metadata = metadata
  await eventually(async () => (await verdict(verifier, token)) === 'good')
})

test('introspect needs no keys: the service checks the signature', async (t) => {
  const server = await startFeedServer(t)
  const verifier = createVerifier({
    issuer: server.url,
    audience: 'todo',
    revocation: {
      mode: 'introspect',
      endpoint: `${server.url}/introspect`,
      clientId: CLIENT.id,
      clientSecret: CLIENT.secret,
      cacheSeconds: 0,
    },
  })
  t.teardown(() => verifier.close())
  await verifier.ready()
  const { token, sid } = server.issue()
  t.equal(await verdict(verifier, token), 'good')
  t.equal(await verdict(verifier, `${token.slice(0, -4)}AAAA`), 'revoked')
  const before = server.introspections
  t.equal(await verdict(verifier, server.issue({ aud: 'bills' }).token), 'wrong_audience')
  t.equal(await verdict(verifier, server.issue({ exp: 1 }).token), 'expired')
  t.equal(await verdict(verifier, 'a.b'), 'malformed')
  t.equal(server.introspections, before, 'the service is not asked about these')
  server.revoke(sid)
  t.equal(await verdict(verifier, token), 'revoked')
})
