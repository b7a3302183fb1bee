import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { join } from 'node:path'
import { FIRST_PARTY_CLIENT_ID } from '@latchkey/verifier/access-token'
import { epochKey, feedKey, feedRetentionKey } from '@latchkey/verifier/redis-keys'
import type { Redis } from 'ioredis'
import { sql } from 'kysely'
import type { Test } from 'tap'
import { type Database, openDatabase } from '../../src/database/database.js'
import { connectRedis } from '../../src/sessions/redis/client.js'
import { createRedisSessions } from '../../src/sessions/redis/sessions.js'
import {
  type NewSession,
  newSid,
  type Rotation,
  type SessionStore,
  type StoreOptions,
} from '../../src/sessions/session.js'
import { createSqlSessions } from '../../src/sessions/sql.js'
import { eventually } from './eventually.js'
import { createPostgresDatabase } from './servers/postgres.js'
import { startRedis } from './servers/redis.js'
import { type Store, temporaryFolder } from './service.js'

/** A store of sessions with nothing in it, which goes when the test ends. */
export interface OpenStore {
  sessions: SessionStore
  /** Another replica's, on the same data. */
  replica(): Promise<SessionStore>
  /** Lets so many milliseconds pass for every session in the store; fewer than none: its clock steps back. */
  age(milliseconds: number): Promise<void>
}

const LIFETIMES: StoreOptions = {
  refreshTtl: 3_600_000,
  sessionMaxAge: 0,
  refreshGrace: 30_000,
  sessionsPerUser: 100,
  accessTtl: 900_000,
}

export async function openStore(t: Test, store: Store, overrides: Partial<StoreOptions> = {}): Promise<OpenStore> {
  const lifetimes = { ...LIFETIMES, ...overrides }
  if (store === 'redis') return openRedisStore(t, lifetimes)
  const { database, openAgain } = await openTestDatabase(t, store)
  const replica = (on: Database) => {
    const sessions = createSqlSessions(on, lifetimes)
    t.teardown(() => sessions.close())
    return sessions
  }
  return {
    sessions: replica(database),
    replica: async () => replica(await openAgain()),
    // To grow older than one's times is what the clock's going on looks like from within.
    age: async (milliseconds) =>
      void (await sql`
        UPDATE sessions SET rotated_at = rotated_at - ${sql.lit(milliseconds)},
          created_at = created_at - ${sql.lit(milliseconds)},
          authenticated_at = authenticated_at - ${sql.lit(milliseconds)}, last_seen_at = last_seen_at - ${sql.lit(milliseconds)},
          expires_at = expires_at - ${sql.lit(milliseconds)}, ends_at = ends_at - ${sql.lit(milliseconds)}
      `.execute(database.db)),
  }
}

export interface TestDatabase {
  url: string
  database: Database
  /** As another process would. */
  openAgain(): Promise<Database>
}

export async function openTestDatabase(t: Test, store: 'sqlite' | 'postgres'): Promise<TestDatabase> {
  let url = `sqlite:${join(temporaryFolder(t), 'latchkey.db')}`
  if (store === 'postgres') {
    const created = await createPostgresDatabase()
    t.teardown(created.drop)
    url = created.url
  }
  const openAgain = async () => {
    const database = await openDatabase(url, () => {})
    t.teardown(() => database.close())
    return database
  }
  return { url, database: await openAgain(), openAgain }
}

export interface OpenRedisStore extends OpenStore {
  client: Redis
  url: string
}

export async function openRedisStore(t: Test, overrides: Partial<StoreOptions> = {}): Promise<OpenRedisStore> {
  const server = await startRedis()
  t.teardown(() => server.stop())
  const connect = async () => {
    const client = connectRedis({ mode: 'single', urls: [server.url] }, () => {}) as Redis
    t.teardown(() => client.disconnect())
    // Whether an answer comes in time on a busy machine is not what is asked here.
    client.options.commandTimeout = 5000
    await once(client, 'ready')
    return client
  }
  const replica = (client: Redis) => {
    const sessions = createRedisSessions(client, { ...LIFETIMES, ...overrides })
    t.teardown(() => sessions.close())
    return sessions
  }
  const client = await connect()
  return {
    client,
    url: server.url,
    sessions: replica(client),
    replica: async () => replica(await connect()),
    async age(milliseconds) {
      for (const key of await client.keys('lk1:*')) {
        if ([feedKey, feedRetentionKey, epochKey].includes(key)) continue
        if (key.endsWith(':i')) {
          for (const sid of await client.zrange(key, '0', '-1')) await client.zincrby(key, -milliseconds, sid)
        } else {
          for (const field of ['r', 'n']) await client.hincrby(key, field, -milliseconds)
          for (const field of ['e', 't']) {
            if (await client.hexists(key, field)) await client.hincrby(key, field, -milliseconds)
          }
        }
        await client.pexpireat(key, (await client.pexpiretime(key)) - milliseconds)
      }
    },
  }
}

/** A sign-in to begin. */
export function newSession(sub: string, overrides: Partial<NewSession> = {}): NewSession {
  return {
    sid: newSid(),
    sub,
    username: 'ada',
    clientId: 'latchkey',
    scope: 'todo:read todo:write',
    audience: 'http://latchkey.test',
    roles: ['reader', 'writer'],
    amr: ['pwd'],
    deviceName: 'phone',
    ip: '127.0.0.1',
    userAgent: 'test/1',
    ...overrides,
  }
}

export const newUser = (): string => randomUUID()

/** Presents a generation of a session, as the person's own device does. */
export const present = (sessions: SessionStore, sub: string, sid: string, generation: number): Promise<Rotation> =>
  sessions.rotate({ sub, sid, generation }, FIRST_PARTY_CLIENT_ID)

export async function poll(_t: Test, condition: () => Promise<boolean>): Promise<void> {
  await eventually(condition)
}
