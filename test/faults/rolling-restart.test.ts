import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Test, test } from 'tap'
import { Api, type Tokens } from '../support/api.js'
import { gatewayFolder, startProgram } from '../support/gateways/program.js'
import { freePort } from '../support/servers/ports.js'
import { CLIENT, environment, PASSWORD, type SpawnedService, spawnService } from '../support/service.js'

/** The number of requests while the replicas are replaced one after the other, repeatedly. The full size is 20,000. */
const REQUESTS = Number(process.env.LATCHKEY_TEST_REQUESTS ?? 500)
/**
 * A run at full size has the machine alone. In the test suite a busy store may be late, which is not the fault of a
 * restart.
 */
const isAlone = process.env.LATCHKEY_TEST_REQUESTS !== undefined
const LANES = 3

test(`F25: three replicas behind a proxy are replaced one by one under load: 0 of ${REQUESTS} requests fail`, async (t) => {
  const env = await environment(t, 'redis', { NODE_ENV: 'production', SIGNUP: 'open', LOG_LEVEL: 'warn' })
  const ports = await Promise.all([1, 2, 3].map(async () => [await freePort(), await freePort()] as [number, number]))
  const replicas = await Promise.all(ports.map((each) => spawnService(t, env, each)))
  const api = new Api(await startProxy(t, ports), CLIENT)
  await api.signUp('ada', PASSWORD)

  const failures: string[] = []
  let answered = 0
  let isRolling = true
  const expect = async (what: string, status: number, ask: () => ReturnType<Api['call']>) => {
    const answer = await ask().catch((error: Error) => ({ status: 0, body: {}, text: error.message }))
    answered += 1
    const isLate = answer.status === 503 && !isAlone && answer.text.includes('temporarily_unavailable')
    if (answer.status !== status && !isLate) failures.push(`${what}: ${answer.status} ${answer.text}`)
    return answer.status === status ? answer.body : undefined
  }
  const lanes = Array.from({ length: LANES }, async () => {
    while (isRolling || answered < REQUESTS) {
      let tokens: Tokens | undefined = await expect('sign-in', 200, () => api.login('ada', PASSWORD))
      for (let i = 0; i < 10 && tokens; i += 1) {
        const { access_token: bearer, refresh_token: token } = tokens
        const introspection = await expect('introspection', 200, () => api.introspect(bearer))
        if (introspection?.active === false) failures.push('a living token was called dead')
        await expect('verify', 200, () => api.call('/verify', { bearer }))
        tokens = await expect('refresh', 200, () => api.refresh(token))
      }
      const { access_token: bearer } = tokens ?? {}
      if (bearer) await expect('sign-out', 204, () => api.logout(bearer))
    }
  })

  let restarts = 0
  do {
    for (const [i, each] of ports.entries()) {
      t.equal(await (replicas[i] as SpawnedService).end('SIGTERM'), 0, 'it ends by itself')
      replicas[i] = await spawnService(t, env, each)
      restarts += 1
    }
  } while (answered < REQUESTS)
  isRolling = false
  await Promise.all(lanes)

  t.comment(`${restarts} restarts: ${failures.length} of ${answered} requests failed`)
  t.strictSame(failures.slice(0, 20), [])
})

/** HAProxy in a usual configuration: it checks the readiness of each replica, and repeats no request. */
async function startProxy(t: Test, ports: [number, number][]): Promise<string> {
  const port = await freePort()
  const path = join(gatewayFolder(t), 'haproxy.cfg')
  const servers = ports.map(([at, management], i) => `  server s${i} 127.0.0.1:${at} check port ${management}`)
  writeFileSync(
    path,
    `defaults
  mode http
  timeout connect 1s
  timeout client 10s
  timeout server 10s
frontend in
  bind 127.0.0.1:${port}
  default_backend latchkey
backend latchkey
  option httpchk GET /readyz
  default-server inter 500ms fall 2 rise 1
${servers.join('\n')}
`,
  )
  await startProgram(t, 'haproxy', ['-db', '-f', path], { port })
  return `http://127.0.0.1:${port}`
}
