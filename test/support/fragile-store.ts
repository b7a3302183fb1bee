import SqliteDatabase from 'libsql'
import type { Test } from 'tap'
import { startPostgres } from './servers/postgres.js'
import { startRedis } from './servers/redis.js'
import { type Environment, environment, type RunningService, type Store, startReady } from './service.js'

/** A service with its own real store. The test can make the store unavailable, and then nothing can be saved. */
export async function startWithFragileStore(
  t: Test,
  store: Store,
  overrides: Environment = {},
): Promise<RunningService & { takeStoreAway(): Promise<void> }> {
  switch (store) {
    case 'sqlite': {
      const env = await environment(t, store, overrides)
      const service = await startReady(t, env)
      const other = new SqliteDatabase((env.DATABASE_URL as string).slice('sqlite:'.length))
      t.teardown(() => void other.close())
      // Like a hanging backup: others can read, and cannot write.
      return { ...service, takeStoreAway: async () => void other.exec('BEGIN EXCLUSIVE') }
    }
    case 'postgres': {
      const postgres = await startPostgres()
      t.teardown(() => postgres.stop())
      const env = await environment(t, 'sqlite', { ...overrides, DATABASE_URL: postgres.url })
      return { ...(await startReady(t, env)), takeStoreAway: async () => postgres.stop() }
    }
    case 'redis': {
      const redis = await startRedis()
      t.teardown(() => redis.stop())
      const env = await environment(t, 'sqlite', { ...overrides, REDIS_URL: redis.url })
      return { ...(await startReady(t, env)), takeStoreAway: () => redis.stop() }
    }
  }
}
