import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { readConfig } from '../src/config/read.js'
import { openStores } from '../src/stores.js'
import { freePort } from '../test/support/servers/ports.js'
import { readUntil } from '../test/support/servers/read-until.js'
import { killOnExit } from './kill-on-exit.js'
import { measureCpuTime, type Server, startServer } from './server.js'

export const ISSUER = 'http://localhost:3000'
export const JWT_SECRET = 'q7Xk2Lz9Rt4Vb1Nc8Mw5Td3Hs6Gp0YjE'
export const CLIENT = { id: 'bench', secret: 'kW3Xr8Jq1Zt6Vb9Nc4Mf7Ls2Hd5Gp0Ya' }
export const BASIC_CREDENTIALS = Buffer.from(`${CLIENT.id}:${CLIENT.secret}`).toString('base64')

/** The settings of production, with everything on. */
export const environment = (redisUrl: string, databaseUrl: string) => ({
  NODE_ENV: 'production',
  ISSUER,
  JWT_SECRET,
  REFRESH_SECRET: 'Zx8Kp5Ol1Pi4Uy7Tr2Ew9Qa3Sd6Fg0Hj',
  BOOTSTRAP_CLIENT: `${CLIENT.id}:${CLIENT.secret}`,
  DATABASE_URL: databaseUrl,
  REDIS_URL: redisUrl,
  // `growth` measures up to 1,000 sessions of one user.
  SESSIONS_PER_USER: '1000',
})

/** A Redis on core 1 and a folder. The service and the stores use both. */
export interface Setting {
  folder: string
  redisUrl: string
  env: ReturnType<typeof environment>
  /** Starts the service, from this checkout or from another one that is built. */
  startService(checkout?: string, core?: string): Promise<Server>
  /** CPU time that Redis has used. Milliseconds. */
  redisCpu(): number
  /** The stores of the service, opened in this process. */
  openStores(): ReturnType<typeof openStores>
  /** Stops everything that was started. */
  stop(): Promise<void>
}

export async function startSetting(): Promise<Setting> {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-bench-'))
  const redisPort = String(await freePort())
  const redis = killOnExit(
    spawn(
      'taskset',
      ['-c', '1', 'redis-server', '--port', redisPort, '--bind', '127.0.0.1', '--save', '', '--dir', folder],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    ),
  )
  await readUntil(redis.stdout, 'Ready to accept connections')
  const redisUrl = `redis://127.0.0.1:${redisPort}`
  const env = environment(redisUrl, `sqlite:${join(folder, 'bench.db')}`)
  const servers: Server[] = []
  return {
    folder,
    redisUrl,
    env,
    async startService(checkout, core = '0') {
      const [PORT, MANAGEMENT_PORT] = [String(await freePort()), String(await freePort())]
      const script = checkout === undefined ? '../src/server.js' : join(checkout, 'dist/src/server.js')
      const ready = `http://127.0.0.1:${MANAGEMENT_PORT}/readyz`
      const server = await startServer(
        script,
        { ...env, PORT, MANAGEMENT_PORT },
        `http://127.0.0.1:${PORT}`,
        ready,
        core,
      )
      servers.push(server)
      return server
    },
    redisCpu: () => measureCpuTime(redis),
    async openStores() {
      // As a service: the first service on a store that nobody registered would empty it.
      const stores = await openStores(readConfig(env), pino({ level: 'silent' }), undefined, 'service')
      const { redis } = stores
      if (redis && redis.status !== 'ready') await once(redis, 'ready')
      return stores
    },
    async stop() {
      for (const server of servers) await server.stop()
      const exited = once(redis, 'exit')
      redis.kill('SIGKILL')
      await exited
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
