import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { createVerifier, type ServiceOptions, type Verifier } from '@latchkey/verifier'
import { Redis } from 'ioredis'
import t, { type Test, test } from 'tap'
import type { Api } from '../support/api.js'
import { eventually } from '../support/eventually.js'
import { ageFeed } from '../support/feed.js'
import { copyDatabase } from '../support/older-copy.js'
import { startRedis } from '../support/servers/redis.js'
import { startReplica } from '../support/servers/redis-sentinel.js'
import { startTcpProxy, type TcpProxy } from '../support/servers/tcp-proxy.js'
import {
  CLIENT,
  type Environment,
  environment,
  ISSUER,
  JWT_SECRET,
  PASSWORD,
  type SpawnedService,
  type Store,
  spawnService,
  stores,
} from '../support/service.js'
import type { VerdictResponse } from '../support/stopped-verifier.js'
import { countCommand, seedFeed, untilVerifierReady, verdictOnce } from '../support/verifier-setup.js'

/*
 * People sign out without a pause while something fails. A follower over HTTP is asked about their tokens all the time. It may
 * accept no token in a call that begins later than `maxStaleness` after the answer 204.
 */
const MAX_STALENESS = 1000
/** Tokens that are asked about again and again. */
const WATCHED = 100
/** Verifiers that are stopped and woken. */
const STOPPED = 3

// The tests wait for staleness and timeouts, so they run side by side.
t.jobs = 4

interface World {
  env: Environment
  /** The follower reaches the service through it. */
  wire: TcpProxy
  service: SpawnedService
  load: Load
  /** Starts an instance, to which the follower and the people go from now on. */
  start(env?: Environment): Promise<SpawnedService>
}

class Load {
  readonly counts = { signOuts: 0, questions: 0, accepted: 0, acceptedInTime: 0, acceptedLate: 0 }
  private readonly ended: { token: string; at: number }[] = []
  private isOver = false
  private isPaused = false
  private readonly loops: Promise<void>[]

  constructor(
    readonly verifier: Verifier,
    public api: Api,
  ) {
    this.loops = [this.repeat(() => (this.isPaused ? undefined : this.signOut())), this.repeat(() => this.ask())]
  }

  async end() {
    this.isOver = true
    await Promise.all(this.loops)
    return this.counts
  }

  /** Nobody signs out during the act, except by `signOut`. */
  async pauseDuring(act: () => Promise<void>): Promise<void> {
    this.isPaused = true
    await act()
    this.isPaused = false
  }

  /** A session that lives. */
  async signIn(): Promise<string> {
    return (await this.api.tokens('ada', PASSWORD)).access_token
  }

  async signOut(given?: string): Promise<void> {
    const token = given ?? (await this.signIn())
    if ((await verdictOnce(this.verifier, token)) === 'good') this.counts.accepted += 1
    const { status } = await this.api.logout(token)
    if (status !== 204) return
    this.counts.signOuts += 1
    this.ended.push({ token, at: performance.now() })
  }

  private async ask(): Promise<void> {
    await Promise.all(
      this.ended.slice(-WATCHED).map(async ({ token, at }) => {
        const isLate = performance.now() > at + MAX_STALENESS
        this.counts.questions += 1
        if ((await verdictOnce(this.verifier, token)) !== 'good') return
        if (isLate) this.counts.acceptedLate += 1
        else this.counts.acceptedInTime += 1
      }),
    )
  }

  /** Requests fail while something is broken. */
  private async repeat(act: () => Promise<void> | undefined): Promise<void> {
    while (!this.isOver) {
      await act()?.catch(() => {})
      await sleep(50)
    }
  }
}

const faults: Record<string, { stores: readonly Store[]; happen(world: World, t: Test): Promise<void> }> = {
  'the service is killed, and starts again later': {
    stores,
    async happen({ service, start }) {
      await service.end('SIGKILL')
      await sleep(2 * MAX_STALENESS)
      await start()
    },
  },
  'the service restarts': {
    stores,
    async happen({ service, start }) {
      await service.end('SIGTERM')
      await start()
    },
  },
  'the service stalls (SIGSTOP)': {
    stores,
    async happen({ service }) {
      service.process.kill('SIGSTOP')
      await sleep(3 * MAX_STALENESS)
      service.process.kill('SIGCONT')
    },
  },
  'the instance of the follower stalls, and people sign out at another': {
    stores: ['postgres', 'redis'],
    async happen({ env, service, load }, t) {
      const other = await spawnService(t, env)
      load.api = other.api
      // A request in flight at the stalled instance would stop the load.
      const before = load.counts.signOuts
      await eventually(() => load.counts.signOuts >= before + 3)
      service.process.kill('SIGSTOP')
      await sleep(3 * MAX_STALENESS)
      service.process.kill('SIGCONT')
    },
  },
  'the instances are replaced one by one': {
    stores: ['postgres', 'redis'],
    async happen({ service, start }) {
      let last = service
      for (let i = 0; i < 3; i += 1) {
        const next = await start()
        await last.end('SIGTERM')
        last = next
      }
    },
  },
  'Redis is emptied': {
    stores: ['redis'],
    async happen({ env }) {
      const admin = new Redis(env.REDIS_URL as string)
      await admin.flushall()
      admin.disconnect()
    },
  },
  'a proxy delays answers by 5 s': {
    stores,
    async happen({ wire }) {
      wire.delay(5000)
      await sleep(8000)
      wire.delay(0)
      wire.cut()
      wire.restore()
    },
  },
  'the database is restored from an older copy, where ended sessions live': {
    stores: ['sqlite', 'postgres'],
    async happen({ env, service, start, load }, t) {
      const tokens = [await load.signIn(), await load.signIn(), await load.signIn()]
      await service.end('SIGTERM')
      const older = await copyDatabase[env.DATABASE_URL?.startsWith('sqlite') ? 'sqlite' : 'postgres'](t, env)
      const during = await start()
      await eventually(async () => (await verdictOnce(load.verifier, tokens[0] as string)) === 'good')
      for (const token of tokens) await load.signOut(token)
      // A restore undoes a sign-out that the follower has not learned of.
      await load.pauseDuring(async () => {
        await sleep(2 * MAX_STALENESS)
        await during.end('SIGTERM')
        await start(older)
      })
    },
  },
}

const optionsFor = (wire: TcpProxy): ServiceOptions => ({
  service: `http://127.0.0.1:${wire.port}`,
  issuer: ISSUER,
  audience: ISSUER,
  // Otherwise the follower asks the service about each new signature, and refuses new tokens during a fault.
  keys: { secrets: [JWT_SECRET] },
  clientId: CLIENT.id,
  clientSecret: CLIENT.secret,
  maxStaleness: MAX_STALENESS,
})

async function startWorld(t: Test, env: Environment): Promise<World> {
  if (env.REDIS_URL !== undefined) await seedFeed(env.REDIS_URL)
  const service = await spawnService(t, env)
  await ageFeed(env)
  const wire = await startTcpProxy(Number(new URL(service.api.url).port))
  t.teardown(() => wire.stop())
  await service.api.signUp('ada', PASSWORD)
  const verifier = createVerifier(optionsFor(wire))
  t.teardown(() => verifier.close())
  await untilVerifierReady(verifier)
  const load = new Load(verifier, service.api)
  return {
    env,
    wire,
    service,
    load,
    async start(other = env) {
      const next = await spawnService(t, other)
      wire.retarget(Number(new URL(next.api.url).port))
      load.api = next.api
      return next
    },
  }
}

/** The load goes on before and after the fault, and the follower recovers. */
async function during(t: Test, world: World, fault: () => Promise<void>): Promise<void> {
  const { load } = world
  await eventually(() => load.counts.signOuts >= 20)
  await fault()
  const before = load.counts.signOuts
  await eventually(() => load.counts.signOuts >= before + 20)
  await eventually(async () => (await verdictOnce(load.verifier, await load.signIn())) === 'good')
  const counts = await load.end()
  t.comment(counts)
  t.ok(counts.questions > 0 && counts.accepted > 0, 'tokens were accepted before their sign-out')
  t.equal(counts.acceptedLate, 0, `of ${counts.questions} questions about ended sessions`)
}

for (const [name, { stores, happen }] of Object.entries(faults)) {
  for (const store of stores) {
    test(`S3 S4 S5 F31: ${store}: ${name}: no token is accepted later than maxStaleness after its sign-out`, {
      buffered: true,
    }, async (t) => {
      const world = await startWorld(t, await environment(t, store))
      await during(t, world, () => happen(world, t))
    })
  }
}

test('S4 F5: Redis fails over to its replica: no token is accepted later than maxStaleness after its sign-out', {
  buffered: true,
}, async (t) => {
  const primary = await startRedis({ args: ['--repl-diskless-sync-delay', '0'] })
  t.teardown(() => primary.stop())
  const replica = await startReplica(t, primary)
  const address = await startTcpProxy(primary.port)
  t.teardown(() => address.stop())
  const settings = { REDIS_URL: `redis://127.0.0.1:${address.port}`, REDIS_WAIT_REPLICAS: '1' }
  const world = await startWorld(t, await environment(t, 'sqlite', settings))
  const admin = new Redis(replica.url)
  t.teardown(() => admin.disconnect())
  await during(t, world, async () => {
    await primary.stop()
    await admin.replicaof('NO', 'ONE')
    address.retarget(replica.port)
    address.cut()
    address.restore()
    await startReplica(t, replica)
  })
  t.ok((await countCommand(admin, 'wait')) > 0, 'the sign-outs waited for the second replica')
})

test('S5: sqlite: a verifier that was stopped for 10 s and woken accepts no token that ended meanwhile', {
  buffered: true,
}, async (t) => {
  const env = await environment(t, 'sqlite')
  const { api } = await spawnService(t, env)
  await ageFeed(env)
  await api.signUp('ada', PASSWORD)
  const wire = await startTcpProxy(Number(new URL(api.url).port))
  t.teardown(() => wire.stop())
  const accepted = await Promise.all(Array.from({ length: STOPPED }, () => isAcceptedAfterStop(t, api, wire)))
  t.strictSame(accepted, Array(STOPPED).fill(false))
})

/** Whether a verifier that was stopped accepts a token that ended meanwhile. */
async function isAcceptedAfterStop(t: Test, api: Api, wire: TcpProxy): Promise<boolean> {
  const child: ChildProcess = fork(fileURLToPath(new URL('../support/stopped-verifier.js', import.meta.url)), [
    JSON.stringify(optionsFor(wire)),
  ])
  t.teardown(() => child.kill('SIGKILL'))
  const ask = async (token: string): Promise<string> => {
    const answer = once(child, 'message') as Promise<[VerdictResponse]>
    child.send({ token })
    return (await answer)[0].verdict
  }
  const { access_token: token } = await api.tokens('ada', PASSWORD)
  await eventually(async () => (await ask(token)) === 'good')
  child.kill('SIGSTOP')
  const { status } = await api.logout(token)
  t.equal(status, 204)
  await sleep(10_000)
  // The question waits in the socket of the verifier when the verifier wakes.
  const answer = ask(token)
  child.kill('SIGCONT')
  return (await answer) === 'good'
}
