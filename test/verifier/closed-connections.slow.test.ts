import { createVerifier } from '@latchkey/verifier'
import { type Test, test } from 'tap'
import { exampleCommand, languages, startExampleClient } from '../support/example-clients.js'
import { type FeedServer, startFeedServer, startFollower } from '../support/feed-server.js'
import { CLIENT } from '../support/service.js'
import { startSidecar } from '../support/sidecar.js'
import { untilVerifierReady, verdict } from '../support/verifier-setup.js'

const QUESTIONS = 50

type Ask = (token: string) => Promise<string>

/** Clients that introspect each new token, because they do not have the secret of HS256. */
const clients: Record<string, (t: Test, server: FeedServer) => Promise<Ask>> = {
  'the verifier': async (t, { url }) => {
    const verifier = createVerifier({
      service: url,
      audience: 'todo',
      clientId: CLIENT.id,
      clientSecret: CLIENT.secret,
    })
    t.teardown(() => verifier.close())
    await untilVerifierReady(verifier)
    return (token) => verdict(verifier, token)
  },
  'the sidecar': async (t, { url }) => {
    const sidecar = await startSidecar(t, { LATCHKEY_URL: url, AUDIENCE: 'todo' })
    return async (token) => {
      const { status } = await fetch(`${sidecar.url}/verify`, { headers: { authorization: `Bearer ${token}` } })
      return status === 200 ? 'good' : String(status)
    }
  },
}
for (const language of languages) {
  clients[`the client in ${language}`] = async (t, { url }) => {
    const client = await startExampleClient(t, await exampleCommand(language, 'follow'), {
      LATCHKEY_URL: url,
      AUDIENCE: 'todo',
    })
    return client.verdict
  }
}

for (const [name, start] of Object.entries(clients)) {
  test(`${name}: a question on an idle connection that the service closes meanwhile is asked again`, async (t) => {
    const server = await startFeedServer(t)
    const ask = await start(t, server)
    server.closeReused()
    const before = server.introspections
    const verdicts: string[] = []
    for (let i = 0; i < QUESTIONS; i += 1) verdicts.push(await ask(server.issue().token))
    t.equal(verdicts.filter((each) => each === 'good').length, QUESTIONS, [...new Set(verdicts)].join())
    t.ok(server.introspections - before >= QUESTIONS, 'each token was introspected')
    // The client in Python opens a connection for each question, so the service has none to close.
    if (name !== 'the client in python') t.ok(server.closed > 0, `${server.closed} connections were closed`)
    t.comment(`${server.closed} connections were closed under ${QUESTIONS} questions`)
  })
}

test('the verifier: questions at the same time on many such connections are asked again', async (t) => {
  const server = await startFeedServer(t)
  // Memory vouches for no token of before the epoch, so each token is introspected.
  server.restart(Math.floor(Date.now() / 1000))
  const verifier = startFollower(t, server)
  await untilVerifierReady(verifier)
  server.closeReused()
  for (let round = 0; round < 10; round += 1) {
    const tokens = Array.from({ length: 20 }, () => server.issue().token)
    const verdicts = await Promise.all(tokens.map((token) => verdict(verifier, token)))
    t.strictSame(new Set(verdicts), new Set(['good']))
  }
})
