import { randomBytes, randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { FIRST_PARTY_CLIENT_ID } from '@latchkey/verifier/access-token'
import { pino } from 'pino'
import { readConfig } from '../src/config/read.js'
import type { SessionStore } from '../src/sessions/session.js'
import { openStores } from '../src/stores.js'
import { freePort } from '../test/support/servers/ports.js'
import { measureRepeatedly, type Summary } from './measure.js'
import { startServer } from './server.js'
import { ISSUER, type Setting } from './setting.js'

const STARTS = 7
const SESSIONS = 20_000

export interface Footprint {
  /** Milliseconds from the start of the process until it is ready, with SQLite. */
  start: Summary
  /** Megabytes some seconds after the start, with SQLite. */
  idle: Summary
  /** Bytes of a session with its share of the index, by the number of sessions for each user. */
  redis: { each: number; bytes: number }[]
  sqlite: number
}

export async function measureFootprint(setting: Setting): Promise<Footprint> {
  const idle: number[] = []
  const start = await measureRepeatedly(STARTS, async () => {
    const { took, memory } = await startEmbedded()
    idle.push(memory)
    return took
  })
  const redis: Footprint['redis'] = []
  for (const each of [1, 10]) redis.push({ each, bytes: await bytesInRedis(setting, each) })
  return {
    start,
    idle: await measureRepeatedly(STARTS, async () => idle.pop() as number),
    redis,
    sqlite: await bytesInSqlite(),
  }
}

/** Starts the service as a first start does: without settings, and all files are created. */
async function startEmbedded(): Promise<{ took: number; memory: number }> {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-bench-'))
  const [PORT, MANAGEMENT_PORT] = [String(await freePort()), String(await freePort())]
  const env = { PORT, MANAGEMENT_PORT, DATABASE_URL: `sqlite:${join(folder, 'data.db')}` }
  const began = performance.now()
  const ready = `http://127.0.0.1:${MANAGEMENT_PORT}/readyz`
  const server = await startServer('../src/server.js', env, ready)
  const took = performance.now() - began
  await sleep(2000)
  const memory = server.memory()
  await server.stop()
  rmSync(folder, { recursive: true, force: true })
  return { took, memory }
}

async function bytesInRedis(setting: Setting, each: number): Promise<number> {
  const { redis, sessions, close } = await setting.openStores()
  const used = async () => Number(/used_memory:(\d+)/.exec((await redis?.info('memory')) ?? '')?.[1])
  const before = await used()
  await createSessions(sessions, SESSIONS, each)
  const bytes = (await used()) - before
  await close()
  return bytes / SESSIONS
}

async function bytesInSqlite(): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-bench-'))
  const path = join(folder, 'data.db')
  const config = readConfig({ NODE_ENV: 'test', DATABASE_URL: `sqlite:${path}` })
  const { sessions, close } = await openStores(config, pino({ level: 'silent' }), undefined, 'service')
  const before = statSync(path).size
  await createSessions(sessions, SESSIONS, 10)
  // Closing the database writes its log back into the file.
  await close()
  const bytes = statSync(path).size - before
  rmSync(folder, { recursive: true, force: true })
  return bytes / SESSIONS
}

/** Creates `count` sessions directly in the store, `each` for each user. */
export async function createSessions(sessions: SessionStore, count: number, each: number): Promise<void> {
  for (let done = 0; done < count; ) {
    const together = Math.min(500, count - done)
    await Promise.all(
      Array.from({ length: Math.ceil(together / each) }, async () => {
        const sub = randomUUID()
        for (let i = 0; i < each; i += 1) {
          await sessions.create({
            sid: randomBytes(16).toString('base64url'),
            sub,
            username: `user-${sub.slice(0, 8)}`,
            clientId: FIRST_PARTY_CLIENT_ID,
            scope: 'todo:read todo:write',
            audience: ISSUER,
            roles: [],
            amr: ['pwd'],
            deviceName: null,
            ip: '203.0.113.7',
            userAgent: 'Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0',
          })
        }
      }),
    )
    done += Math.ceil(together / each) * each
  }
}
