import { type ChildProcess, fork } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import t, { type Test, test } from 'tap'
import { eventually } from '../support/eventually.js'
import { type FeedServer, startFeedServer } from '../support/feed-server.js'
import { startTcpProxy } from '../support/servers/tcp-proxy.js'
import { CLIENT, JWT_SECRET, temporaryFolder } from '../support/service.js'
import { isAll } from '../support/size.js'
import type { VerdictRequest, VerdictResponse } from '../support/stopped-verifier.js'

const MAX_STALENESS = 1000
/** For how many milliseconds the process of a verifier is stopped, the first time and the second time. */
const STOPS = isAll ? [10_000, 1300] : [1300, 1300]
/** Verifiers of each kind. */
const VERIFIERS = isAll ? 3 : 1

t.jobs = 2

function startVerifier(t: Test, server: FeedServer, port: number) {
  const options = {
    issuer: server.url,
    audience: 'todo',
    keys: { secrets: [JWT_SECRET] },
    revocation: {
      mode: 'follow',
      endpoint: `http://127.0.0.1:${port}/revocations`,
      introspectionEndpoint: `${server.url}/introspect`,
      clientId: CLIENT.id,
      clientSecret: CLIENT.secret,
      maxStaleness: MAX_STALENESS,
    },
  }
  const child: ChildProcess = fork(fileURLToPath(new URL('../support/stopped-verifier.js', import.meta.url)), [
    JSON.stringify(options),
  ])
  t.teardown(() => child.kill('SIGKILL'))
  const waiting: ((answer: VerdictResponse) => void)[] = []
  child.on('message', (answer) => waiting.shift()?.(answer as VerdictResponse))
  return {
    process: child,
    ask(request: VerdictRequest): Promise<VerdictResponse> {
      child.send(request)
      return new Promise((resolve) => waiting.push(resolve))
    },
  }
}

for (const how of ['stopped', 'blocked'] as const) {
  test(`S5: follow over HTTP: a verifier that was ${how} takes no answer from before for news`, {
    buffered: true,
  }, async (t) => {
    await Promise.all(Array.from({ length: VERIFIERS }, () => stopsAndAsks(t, how)))
  })
}

async function stopsAndAsks(t: Test, how: 'stopped' | 'blocked'): Promise<void> {
  const server = await startFeedServer(t)
  const wire = await startTcpProxy(server.port)
  t.teardown(() => wire.stop())
  const verifier = startVerifier(t, server, wire.port)
  const folder = temporaryFolder(t)
  for (const [round, milliseconds] of STOPS.entries()) {
    const { token, sid } = server.issue()
    await eventually(async () => {
      const before = server.introspections
      const { verdict } = await verifier.ask({ token })
      return verdict === 'good' && server.introspections === before
    })

    const flag = join(folder, `round-${round}`)
    if (how === 'stopped') verifier.process.kill('SIGSTOP')
    else {
      void verifier.ask({ token, until: flag })
      await eventually(() => existsSync(`${flag}.blocked`))
    }
    // An answer of now reaches the verifier's socket. The revocation comes after it, and is kept back.
    await sleep(300)
    wire.hold()
    server.revoke(sid)
    await sleep(milliseconds)
    // The question waits in the verifier's socket too.
    const answer = verifier.ask({ token })
    if (how === 'stopped') verifier.process.kill('SIGCONT')
    else writeFileSync(flag, '')
    t.equal((await answer).verdict, 'revoked', `round ${round}`)
    wire.release()
  }
}
