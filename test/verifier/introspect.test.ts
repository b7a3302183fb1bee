import { createServer, type RequestListener } from 'node:http'
import { createVerifier, type Verifier } from '@latchkey/verifier'
import { type Test, test } from 'tap'
import { countAcceptedLate, eventually } from '../support/eventually.js'
import { listen } from '../support/key-server.js'
import { freePort } from '../support/servers/ports.js'
import { CLIENT, ISSUER, JWT_SECRET, PASSWORD, type RunningService, startService } from '../support/service.js'
import { resultOrLate, verdict, verdictOnce } from '../support/verifier-setup.js'

interface Asking {
  endpoint: string
  cacheSeconds?: number
  clientSecret?: string
}

function verifierOf(t: Test, { endpoint, cacheSeconds = 0, clientSecret = CLIENT.secret }: Asking): Verifier {
  const verifier = createVerifier({
    issuer: ISSUER,
    audience: ISSUER,
    keys: { secrets: [JWT_SECRET] },
    revocation: { mode: 'introspect', endpoint, clientId: CLIENT.id, clientSecret, cacheSeconds },
  })
  t.teardown(() => verifier.close())
  return verifier
}

async function signIn({ api }: RunningService): Promise<string> {
  await api.signUp('ada', PASSWORD)
  return (await api.tokens('ada', PASSWORD)).access_token
}

/** How many requests the service has answered. */
const asked = ({ log }: RunningService) => log.filter(({ route }) => route === '/introspect').length

/** A server that is not Latchkey. Returns its address. */
async function startServer(t: Test, listener: RequestListener): Promise<string> {
  return `http://127.0.0.1:${await listen(t, createServer(listener))}`
}

test('an answer is cached for cacheSeconds, and not longer', async (t) => {
  const service = await startService(t, 'sqlite')
  const token = await signIn(service)
  const verifier = verifierOf(t, { endpoint: `${service.api.url}/introspect`, cacheSeconds: 1 })
  const began = performance.now()
  await verifier.verify(token)
  // The line of the log may come later than the answer.
  await eventually(() => asked(service) === 1)
  for (let i = 0; i < 50; i++) await verifier.verify(token)
  if (performance.now() - began < 900) t.equal(asked(service), 1)

  await service.api.logout(token)
  t.equal(await countAcceptedLate(async () => (await verdict(verifier, token)) !== 'good'), 0)
  await eventually(async () => (await verdict(verifier, token)) === 'revoked')
})

test('simultaneous checks of one token share a request; with cacheSeconds 0 each check sends its own', async (t) => {
  const service = await startService(t, 'sqlite')
  const token = await signIn(service)
  const endpoint = `${service.api.url}/introspect`
  const atOnce = (verifier: Verifier) => Promise.all(Array.from({ length: 20 }, () => verifier.verify(token)))

  await atOnce(verifierOf(t, { endpoint, cacheSeconds: 10 }))
  await eventually(() => asked(service) === 1)
  await atOnce(verifierOf(t, { endpoint, cacheSeconds: 0 }))
  await eventually(() => asked(service) === 21)
})

test('a token that fails the local check sends no request to the service', async (t) => {
  const service = await startService(t, 'sqlite')
  const token = await signIn(service)
  const verifier = verifierOf(t, { endpoint: `${service.api.url}/introspect` })
  t.equal(await verdict(verifier, `${token.slice(0, -4)}AAAA`), 'bad_signature')
  t.equal(await verdict(verifier, 'no token'), 'malformed')
  t.equal(asked(service), 0)
})

test('credentials of any characters arrive; ready reports wrong credentials, and they accept no token', async (t) => {
  const clientSecret = 'all:of+these/must=arrive%20as&they?are~!*()'
  const service = await startService(t, 'sqlite', { BOOTSTRAP_CLIENT: `${CLIENT.id}:${clientSecret}` })
  const token = await signIn(service)
  const endpoint = `${service.api.url}/introspect`

  const verifier = verifierOf(t, { endpoint, clientSecret })
  await verifier.ready()
  t.equal(await verdict(verifier, token), 'good')
  const stranger = verifierOf(t, { endpoint, clientSecret: 'wrong' })
  await t.rejects(stranger.ready(), { message: /401/ })
  t.equal(await verdictOnce(stranger, token), 'unavailable')
})

test('F31: a service that is down, silent, endless, redirecting or not Latchkey makes a token unavailable', async (t) => {
  const service = await startService(t, 'sqlite')
  const token = await signIn(service)
  let astray = 0
  const canary = await startServer(t, (_request, response) => {
    astray += 1
    response.end('{"active":true}')
  })
  const endpoints = {
    gone: `http://127.0.0.1:${await freePort()}`,
    silent: await startServer(t, () => {}),
    endless: await startServer(t, (_request, response) => {
      const more = setInterval(() => response.write('{"active":true,'.repeat(1000)), 1)
      response.on('close', () => clearInterval(more))
    }),
    elsewhere: await startServer(t, (_request, response) => response.writeHead(307, { location: canary }).end()),
    'another token': await startServer(t, (_request, response) => response.end('{"active":true,"jti":"another"}')),
    'a word': await startServer(t, (_request, response) => response.end('{"active":"true"}')),
    failing: await startServer(t, (_request, response) => response.writeHead(500).end('{"active":true}')),
  }
  await t.rejects(verifierOf(t, { endpoint: endpoints.gone }).ready(), { message: /ECONNREFUSED/ })
  await Promise.all(
    Object.entries(endpoints).map(async ([name, endpoint]) => {
      const answer = verdictOnce(verifierOf(t, { endpoint, cacheSeconds: 60 }), token)
      t.equal(await resultOrLate(answer, 4000), 'unavailable', name)
    }),
  )
  t.equal(astray, 0, 'credentials followed no redirect')
})
