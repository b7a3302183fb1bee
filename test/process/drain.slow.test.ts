import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { type Test, test } from 'tap'
import { eventually } from '../support/eventually.js'
import { environment, PASSWORD, type SpawnedService, spawnService } from '../support/service.js'

test('SIGTERM in production: not ready, still serving, in-flight requests answered, exit 0', async (t) => {
  const { service, token } = await start(t, { NODE_ENV: 'production', SIGNUP: 'open' })
  const slow = await beginRefresh(t, service, token)
  const started = Date.now()

  const ended = service.end('SIGTERM')

  await eventually(async () => (await fetch(`${service.managementUrl}/readyz`)).status === 503)
  t.match(await (await fetch(`${service.managementUrl}/readyz`)).json(), { status: 'draining' })
  t.equal((await fetch(`${service.managementUrl}/livez`)).status, 200)
  // Callers that do not know about the drain yet are served. `Connection: close` sends their next request elsewhere.
  const late = await service.once.login('ada', PASSWORD)
  t.equal(late.status, 200)
  t.equal(late.headers.connection, 'close')
  const answer = await slow.finish()
  t.match(answer, /^HTTP\/1\.1 200 OK\r\n/)
  t.match(answer, /"refresh_token":"lkr_/)
  t.equal(await ended, 0)
  t.ok(Date.now() - started >= 5000, 'the cluster had its time to notice')
  t.match(service.output(), /"msg":"stopped"/)
})

test('SIGTERM outside production: in-flight requests are answered, exit 0 without waiting', async (t) => {
  const { service, token } = await start(t)
  const slow = await beginRefresh(t, service, token)

  const ended = service.end('SIGTERM')
  await eventually(async () => service.output().includes('"msg":"stopping"'))

  t.match(await slow.finish(), /^HTTP\/1\.1 200 OK\r\n/)
  t.equal(await ended, 0)
})

test('SIGTERM while passwords are hashed: each sign-in is answered', async (t) => {
  const { service } = await start(t, { HASH_COST: 'full', HASH_CONCURRENCY: '1' })
  const signIns = Array.from({ length: 10 }, () => service.once.login('ada', PASSWORD))
  await Promise.race(signIns)

  const ended = service.end('SIGTERM')

  // The closed port refuses or resets a request that was not read yet. Nothing was done for such a request.
  const results = await Promise.allSettled(signIns)
  const answered = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value.status] : []))
  t.strictSame(new Set(answered), new Set([200]))
  for (const result of results) {
    if (result.status === 'rejected') t.match(result.reason, { code: /^ECONN(REFUSED|RESET)$/ })
  }
  t.equal(await ended, 0)
})

test('F26 a second SIGTERM ends the process at once', async (t) => {
  const { service, token } = await start(t)
  await beginRefresh(t, service, token)
  const first = service.end('SIGTERM')
  await eventually(async () => service.output().includes('"msg":"stopping"'))

  service.process.kill('SIGTERM')

  t.equal(await first, 1)
})

async function start(t: Test, overrides: Record<string, string> = {}) {
  const service = await spawnService(t, await environment(t, 'sqlite', overrides))
  await service.api.signUp('ada', PASSWORD)
  const { refresh_token: token } = await service.api.tokens('ada', PASSWORD)
  return { service, token }
}

/** A caller that has sent half of its request. The service has read the headers and asked for the body. */
async function beginRefresh(t: Test, { api }: SpawnedService, token: string): Promise<{ finish(): Promise<string> }> {
  const body = JSON.stringify({ refresh_token: token })
  const socket: Socket = connect(Number(new URL(api.url).port), '127.0.0.1')
  t.teardown(() => socket.destroy())
  // After a kill nothing listens for this error.
  socket.on('error', () => {})
  await once(socket, 'connect')
  let answer = ''
  socket.on('data', (chunk) => {
    answer += chunk
  })
  socket.write(
    `POST /refresh HTTP/1.1\r\nHost: latchkey\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${body.length}\r\nExpect: 100-continue\r\n\r\n${body.slice(0, 10)}`,
  )
  await eventually(() => answer.startsWith('HTTP/1.1 100 Continue'))
  answer = ''
  return {
    async finish() {
      const closed = once(socket, 'close')
      socket.write(body.slice(10))
      await closed
      return answer
    },
  }
}
