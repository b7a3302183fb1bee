import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readConfig } from '../src/config.js'
import { connectRedis } from '../src/sessions/redis/client.js'
import { createRedisSessions } from '../src/sessions/redis/sessions.js'
import { type Load, round, summarise } from './load.js'
import { seedSessions } from './seed.js'
import { startServer } from './server.js'

const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 5)
const SECONDS = Number(process.env.BENCH_SECONDS ?? 3)
const folder = mkdtempSync(join(tmpdir(), 'latchkey-bench-'))
const redisPort = 7399
const redis = spawn(
  'taskset',
  ['-c', '1', 'redis-server', '--port', String(redisPort), '--save', '', '--dir', folder],
  {
    stdio: 'ignore',
  },
)
const client = { id: 'bench', secret: 'kW3Xr8Jq1Zt6Vb9Nc4Mf7Ls2Hd5Gp0Ya' }
const env = {
  NODE_ENV: 'production',
  PORT: '7300',
  MANAGEMENT_PORT: '7301',
  ISSUER: 'http://localhost:3000',
  JWT_SECRET: 'q7Xk2Lz9Rt4Vb1Nc8Mw5Td3Hs6Gp0YjE',
  REFRESH_SECRET: 'Zx8Kp5Ol1Pi4Uy7Tr2Ew9Qa3Sd6Fg0Hj',
  BOOTSTRAP_CLIENT: `${client.id}:${client.secret}`,
  DATABASE_URL: `sqlite:${join(folder, 'bench.db')}`,
  REDIS_URL: `redis://127.0.0.1:${redisPort}`,
}
try {
  await new Promise((resolve) => setTimeout(resolve, 300))
  const config = readConfig(env)
  const connection = connectRedis(`redis://127.0.0.1:${redisPort}`, () => {})
  await new Promise((resolve) => connection.once('ready', resolve))
  const sessions = createRedisSessions(connection, config)
  const seeded = await seedSessions(sessions, config, { users: 500, each: 4, folder, name: 'live' })
  await sessions.close()
  connection.disconnect()

  const service = await startServer('../src/server.js', env, 'http://127.0.0.1:7300', 'http://127.0.0.1:7301/readyz')
  // Another checkout of this project, built: what has a change cost?
  const before =
    process.env.BENCH_AGAINST &&
    (await startServer(
      join(process.env.BENCH_AGAINST, 'dist/src/server.js'),
      { ...env, PORT: '7303', MANAGEMENT_PORT: '7304' },
      'http://127.0.0.1:7303',
      'http://127.0.0.1:7304/readyz',
    ))
  const bare = await startServer('./bare.js', { PORT: '7302' }, 'http://127.0.0.1:7302')
  const basic = Buffer.from(`${client.id}:${client.secret}`).toString('base64')
  const form = 'application/x-www-form-urlencoded'
  const yardstick: Load = { path: '/introspect', script: 'introspect.lua', args: [seeded.accessTokens, basic, form] }
  const loads: Record<string, Load> = {
    'introspect, form': yardstick,
    'introspect, JSON': { ...yardstick, args: [seeded.accessTokens, basic, 'application/json'] },
    verify: { path: '/verify', script: 'bearer.lua', args: [seeded.accessTokens, 'GET'] },
    refresh: { path: '/refresh', script: 'refresh.lua', args: [seeded.refreshTokens] },
  }
  const only = process.argv[2]
  for (const [name, load] of Object.entries(loads)) {
    if (only && !name.includes(only)) continue
    await round(service, load, 1)
    const rival = before || bare
    const rivalLoad = before ? load : yardstick
    await round(rival, rivalLoad, 1)
    const ratios: number[] = []
    const ours: number[] = []
    const theirs: number[] = []
    for (let i = 0; i < ROUNDS; i += 1) {
      const a = await round(service, load, SECONDS)
      const b = await round(rival, rivalLoad, SECONDS)
      ours.push(a.cpu)
      theirs.push(b.cpu)
      ratios.push(a.cpu / b.cpu)
    }
    const [o, b, r] = [summarise(ours), summarise(theirs), summarise(ratios)]
    process.stdout.write(
      `${name.padEnd(18)} ${o.median.toFixed(1)} µs  ${before ? 'before' : 'bare'} ${b.median.toFixed(1)} µs  ratio ${r.median.toFixed(2)} (${r.low.toFixed(2)}–${r.high.toFixed(2)})\n`,
    )
    if (name === 'refresh') break
  }
  process.stdout.write(`memory ${service.memory().toFixed(0)} MB\n`)
  await service.stop()
  if (before) await before.stop()
  await bare.stop()
} finally {
  redis.kill('SIGKILL')
  rmSync(folder, { recursive: true, force: true })
}
