import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { addDevelopmentSecrets } from '../src/config/development-secrets.js'
import { readConfig } from '../src/config/read.js'
import { freePort } from '../test/support/servers/ports.js'
import { measureRounds } from './load.js'
import { type Summary, summarise } from './measure.js'
import { seedSessions } from './seed.js'
import { startServer } from './server.js'
import { CLIENT, ISSUER, type Setting } from './setting.js'

const SIDECAR = fileURLToPath(new URL('../../verifier/dist/sidecar/main.js', import.meta.url))
const TOKENS = 100
/** Milliseconds. */
const FEED_AGE = 13_000

export interface SidecarCost {
  /** Microseconds of CPU for each request. */
  sidecar: Summary
  bare: Summary
  /** Requests a second on one core. */
  throughput: Summary
}

/**
 * `GET /verify` at the sidecar against a bare Fastify route with the same load: live tokens of 100 sessions, on one core each in
 * turn. The service, Redis and the load share the other core.
 */
export async function measureSidecar(setting: Setting, rounds: number): Promise<SidecarCost> {
  const service = await setting.startService(undefined, '1')
  // A follower asks the service about each token that is nearly as old as the feed.
  await sleep(FEED_AGE)
  const tokens = await seed(setting)
  const sidecarUrl = `http://127.0.0.1:${await freePort()}`
  const env = {
    LATCHKEY_URL: service.url,
    ISSUER,
    AUDIENCE: ISSUER,
    CLIENT_ID: CLIENT.id,
    CLIENT_SECRET: CLIENT.secret,
    PORT: new URL(sidecarUrl).port,
  }
  const sidecar = await startServer(SIDECAR, env, sidecarUrl, `${sidecarUrl}/readyz`)
  const barePort = await freePort()
  const bareUrl = `http://127.0.0.1:${barePort}`
  const bare = await startServer('bare.js', { PORT: String(barePort) }, bareUrl)
  try {
    const load = { path: '/verify', script: 'header.lua', args: [tokens, 'GET', 'Authorization', 'Bearer '] }
    const ask = measureRounds(sidecar, load)
    const askBare = measureRounds(bare, load)
    // The first round of each warms up.
    await ask()
    await askBare()
    const ours = []
    const theirs = []
    for (let round = 0; round < rounds; round += 1) {
      ours.push(await ask())
      theirs.push(await askBare())
    }
    return {
      sidecar: summarise(ours.map(({ cpu }) => cpu)),
      bare: summarise(theirs.map(({ cpu }) => cpu)),
      throughput: summarise(ours.map(({ throughput }) => throughput)),
    }
  } finally {
    await Promise.all([sidecar.stop(), bare.stop()])
  }
}

/** Live sessions. Returns the file with their tokens. */
async function seed({ env, folder, openStores }: Setting): Promise<string> {
  const { sessions, close } = await openStores()
  const config = addDevelopmentSecrets(readConfig(env))
  const { accessTokens } = await seedSessions(sessions, config, { users: TOKENS, each: 1, folder, name: 'sidecar' })
  await close()
  return accessTokens
}
