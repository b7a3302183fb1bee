import { Redis } from 'ioredis'
import { sql } from '../../src/database/kysely.js'
import { withAccounts } from './accounts.js'
import type { Environment } from './service.js'

/** Connects to the Redis of a service. */
export async function withRedis<Result>(url: string, act: (redis: Redis) => Promise<Result>): Promise<Result> {
  const redis = new Redis(url)
  try {
    return await act(redis)
  } finally {
    redis.disconnect()
  }
}

/** The number of rows in the table of sessions, live or not. */
export function countSessionRows(env: Environment): Promise<number> {
  return withAccounts(env, async (_users, { db }) => {
    const { rows } = await sql<{ count: number }>`SELECT count(*) AS count FROM sessions`.execute(db)
    return Number(rows[0]?.count)
  })
}

/** Every key in the Redis of a service, with its time to live in ms (-1 without expiry). */
export function redisKeys(url: string): Promise<{ key: string; ttl: number }[]> {
  return withRedis(url, async (redis) => {
    const keys = await redis.keys('*')
    return Promise.all(keys.map(async (key) => ({ key, ttl: await redis.pttl(key) })))
  })
}

/** Deletes every session directly in the store. */
export async function deleteSessions(env: Environment): Promise<void> {
  if (env.REDIS_URL) {
    await withRedis(env.REDIS_URL, async (redis) => redis.del(await redis.keys('lk1:*:s:*')))
  } else {
    await withAccounts(env, (_users, { db }) => db.deleteFrom('sessions').execute())
  }
}
