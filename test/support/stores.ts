import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { join } from 'node:path'
import { FIRST_PARTY_CLIENT_ID } from '@latchkey/verifier/access-token'
import { epochKey, feedKey, feedRetentionKey, storeIdKey } from '@latchkey/verifier/redis-keys'
import type { Redis } from 'ioredis'
import type { Test } from 'tap'
import type { Database } from '../../src/database/database.js'
import { sql } from '../../src/database/kysely.js'
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
import { Unavailable } from '../../src/unavailable.js'
import { openReadyDatabase } from './ready-database.js'
import { createPostgresDatabase } from './servers/postgres.js'
import { startRedis } from './servers/redis.js'
import { type Store, temporaryFolder } from './service.js'

/** An empty session store, which the end of the test deletes. */
export interface OpenStore {
  sessions: SessionStore
  /** The store of another replica on the same data. */
  replica(): Promise<SessionStore>
  /** Writes into the store what the service writes when it registers the store. */
  register(): Promise<void>
  /** Makes every session older by this many milliseconds. A negative number sets the store's clock back. */
  age(milliseconds: number): Promise<void>
}

export const LIFETIMES: StoreOptions = {
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
    register: async () => {},
    // For the store, an older session looks like a later clock.
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
  /** Opens the same database like another process. */
  openAgain(): Promise<Database>
}

/** @param parameters options of `pg` in the address of a Postgres, which take precedence over those of the service */
export async function openTestDatabase(
  t: Test,
  store: 'sqlite' | 'postgres',
  parameters: Record<string, string> = {},
): Promise<TestDatabase> {
  let url = `sqlite:${join(temporaryFolder(t), 'latchkey.db')}`
  if (store === 'postgres') {
    const created = await createPostgresDatabase('migrated')
    t.teardown(created.drop)
    url = `${created.url}?${new URLSearchParams(parameters)}`
  }
  const openAgain = async () => {
    const database = await openReadyDatabase(url)
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
    // A busy machine must not cause a command timeout here.
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
    register: async () => void (await client.set(storeIdKey, 'test')),
    async age(milliseconds) {
      for (const key of await client.keys('lk1:*')) {
        if (key.endsWith(':n')) continue
        if ([feedKey, feedRetentionKey, epochKey, storeIdKey].includes(key)) continue
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

/**
 * Repeats the round of a race until the store answers each of its calls. On a busy machine a call may exceed its timeout, and
 * then nobody knows whether it took effect.
 */
export async function untilAnswered<Result>(round: () => Promise<Result>): Promise<Result> {
  for (;;) {
    try {
      return await round()
    } catch (error) {
      // The machine causes no deadlock.
      if (!(error instanceof Unavailable) || error.message.includes('deadlock')) throw error
    }
  }
}

/** The values of a new session. */
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

export const newUserId = (): string => randomUUID()

/** Presents a generation of a session, like the person's own device. */
export const presentGeneration = (
  sessions: SessionStore,
  sub: string,
  sid: string,
  generation: number,
): Promise<Rotation> => sessions.rotate({ sub, sid, generation }, FIRST_PARTY_CLIENT_ID)
