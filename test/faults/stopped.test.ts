import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { RevocationOptions } from '@latchkey/verifier'
import t, { type Test, test } from 'tap'
import { eventually } from '../support/eventually.js'
import { startTcpProxy, type TcpProxy } from '../support/servers/tcp-proxy.js'
import { CLIENT, environment, ISSUER, JWT_SECRET, PASSWORD, spawnService, temporaryFolder } from '../support/service.js'
import type { VerdictRequest, VerdictResponse } from '../support/stopped-verifier.js'
import { countCommand, redisClient, startVerifierSetup, type VerifierSetup } from '../support/verifier-setup.js'

/*
 * A process is stopped, or its event loop is blocked, while it waits for the answer to a look-up. The answer says that
 * the session lives. Then the session ends, and the process continues. The process must not believe the answer. About
 * one process in two reads the socket before its timeout fires, so each case has several rounds.
 */
const ROUNDS = Number(process.env.LATCHKEY_TEST_STOPS ?? 4)
const MARGIN = 300

// The tests wait for timeouts, so they run side by side.
t.jobs = 2

interface Mode {
  /** The greatest age of an answer, in milliseconds. */
  limit: number
  /** The port of the source of the answer. The proxy stands before it. */
  port(setting: VerifierSetup): number
  revocation(port: number): RevocationOptions
  /** How many of these requests have been answered so far. */
  answered(setting: VerifierSetup, wire: TcpProxy): Promise<number>
}

const redisOf = (port: number) => `redis://127.0.0.1:${port}`
const modes: Record<string, Mode> = {
  lookup: {
    limit: 200,
    port: ({ redis }) => redis.port,
    revocation: (port) => ({ mode: 'lookup', redis: redisOf(port) }),
    answered: ({ admin }) => countCommand(admin, 'exists'),
  },
  // The follower is never fresh, so it looks up each token.
  'follow that falls back to a look-up': {
    limit: 200,
    port: ({ redis }) => redis.port,
    revocation: (port) => ({ mode: 'follow', redis: redisOf(port), maxStaleness: 0.001 }),
    answered: ({ admin }) => countCommand(admin, 'exists'),
  },
  'introspect with cacheSeconds 0': {
    limit: 2000,
    port: ({ service }) => Number(new URL(service.api.url).port),
    revocation: (port) => ({
      mode: 'introspect',
      endpoint: `http://127.0.0.1:${port}/introspect`,
      clientId: CLIENT.id,
      clientSecret: CLIENT.secret,
      cacheSeconds: 0,
    }),
    answered: async (_setting, wire) => wire.held,
  },
}

for (const [name, mode] of Object.entries(modes)) {
  for (const how of ['stopped', 'blocked'] as const) {
    test(`S5: ${name}: a verifier that was ${how} does not believe an answer that waited meanwhile`, {
      buffered: true,
    }, async (t) => {
      const setting = await startVerifierSetup(t)
      const wire = await startTcpProxy(mode.port(setting))
      t.teardown(() => wire.stop())
      const verifier = startVerifier(t, mode.revocation(wire.port))
      const warm = await setting.signIn()
      await eventually(async () => (await verifier.ask({ token: warm.access_token })).verdict === 'good')
      const folder = temporaryFolder(t)

      let counted = 0
      for (let round = 0; counted < ROUNDS && round < 10 * ROUNDS; round += 1) {
        const { access_token: token } = await setting.signIn()
        const flag = join(folder, `round-${round}`)
        wire.hold()
        const before = await mode.answered(setting, wire)
        const answer = verifier.ask(how === 'blocked' ? { token, until: flag } : { token })
        let isOver = false
        void answer.then(() => {
          isOver = true
        })
        await eventually(async () => isOver || (await mode.answered(setting, wire)) > before)
        if (how === 'stopped') verifier.process.kill('SIGSTOP')
        else await eventually(() => existsSync(`${flag}.blocked`))
        const stopped = performance.now()
        t.equal((await setting.service.api.logout(token)).status, 204)
        wire.release()
        await sleep(Math.max(0, mode.limit + MARGIN - (performance.now() - stopped)))
        const length = performance.now() - stopped
        if (how === 'stopped') verifier.process.kill('SIGCONT')
        else writeFileSync(flag, '')

        const { verdict, took } = await answer
        // On a busy machine the timeout may fire before the signal arrives.
        if (took > length) {
          counted += 1
          t.not(verdict, 'good', `round ${round}: accepted after the sign-out was acknowledged`)
        }
        await eventually(async () => (await verifier.ask({ token: warm.access_token })).verdict === 'good')
        t.not((await verifier.ask({ token })).verdict, 'good', 'what begins after waking is refused')
        // On a busy machine a look-up may exceed its timeout. Then the verdict is `unavailable`.
        await eventually(async () => (await verifier.ask({ token })).verdict === 'revoked')
      }
      t.equal(counted, ROUNDS, 'so often it was stopped in time')
    })
  }
}

function startVerifier(t: Test, revocation: RevocationOptions) {
  const options = { issuer: ISSUER, audience: ISSUER, keys: { secrets: [JWT_SECRET] }, revocation }
  const child: ChildProcess = fork(fileURLToPath(new URL('../support/stopped-verifier.js', import.meta.url)), [
    JSON.stringify(options),
  ])
  t.teardown(() => child.kill('SIGKILL'))
  return {
    process: child,
    async ask(question: VerdictRequest): Promise<VerdictResponse> {
      const answer = once(child, 'message')
      child.send(question)
      return (await answer)[0] as VerdictResponse
    },
  }
}

const HOOK = `
import { existsSync, writeFileSync } from 'node:fs'
process.on('SIGUSR2', () => {
  writeFileSync(process.env.FLAG + '.blocked', '')
  const cell = new Int32Array(new SharedArrayBuffer(4))
  while (!existsSync(process.env.FLAG)) Atomics.wait(cell, 0, 0, 5)
})
`

/** The service behind a proxy to its store, and another instance with a direct connection. */
async function startInstances(t: Test, store: 'postgres' | 'redis', flag: string) {
  const env = await environment(t, store)
  const name = store === 'redis' ? 'REDIS_URL' : 'DATABASE_URL'
  const url = new URL(env[name] as string)
  const wire = await startTcpProxy(Number(url.port))
  t.teardown(() => wire.stop())
  url.port = String(wire.port)
  url.hostname = '127.0.0.1'
  const hook = join(temporaryFolder(t), 'hook.mjs')
  writeFileSync(hook, HOOK)
  const other = await spawnService(t, env)
  const service = await spawnService(t, {
    ...env,
    [name]: url.href,
    NODE_OPTIONS: `--import=file://${hook}`,
    FLAG: flag,
  })
  const admin = store === 'redis' ? redisClient(t, env.REDIS_URL as string) : undefined
  /** How often the store has answered about sessions. Heartbeats pass through the proxy to Redis too. */
  const answered = async () => (admin ? countCommand(admin, 'hget') : wire.held)
  return { wire, service, other, answered }
}

for (const { store, limit } of [
  { store: 'redis', limit: 200 },
  { store: 'postgres', limit: 1000 },
] as const) {
  for (const how of ['stopped', 'blocked'] as const) {
    test(`S5: ${store}: a service that was ${how} does not believe an answer that waited meanwhile`, {
      buffered: true,
    }, async (t) => {
      const flag = join(temporaryFolder(t), 'go-on')
      const { wire, service, other, answered } = await startInstances(t, store, flag)
      await other.api.signUp('ada', PASSWORD)
      const signIn = async () => (await other.api.tokens('ada', PASSWORD)).access_token
      const warm = await signIn()

      // A blocked process continues for good once the file exists. So this case has one round.
      const rounds = how === 'blocked' ? 1 : ROUNDS
      for (let round = 0; round < rounds; round += 1) {
        const token = await signIn()
        // The service remembers the calling client, so its next query is about the session.
        t.equal(await service.api.isActive(warm), true)
        wire.hold()
        const before = await answered()
        const answer = service.once.introspect(token)
        await eventually(async () => (await answered()) > before)
        if (how === 'stopped') service.process.kill('SIGSTOP')
        else {
          service.process.kill('SIGUSR2')
          await eventually(() => existsSync(`${flag}.blocked`))
        }
        const stopped = performance.now()
        t.equal((await other.api.logout(token)).status, 204)
        wire.release()
        await sleep(Math.max(0, limit + MARGIN - (performance.now() - stopped)))
        if (how === 'stopped') service.process.kill('SIGCONT')
        else writeFileSync(flag, '')

        const { status, body } = await answer
        t.notOk(body.active, `round ${round}: ${status}, after the sign-out was acknowledged`)
        t.ok(status === 200 || status === 503)
        await eventually(async () => (await service.once.introspect(warm)).body.active === true)
        t.equal(await service.api.isActive(token), false, 'what begins after waking is refused')
      }
    })
  }
}
