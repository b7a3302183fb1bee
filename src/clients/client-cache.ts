import type { Clock, Moment } from '@latchkey/verifier/clock'
import { type CachedClient, type ReadRow, toCachedClient } from './client-row.js'

/** The clients of this process. A client that the database does not have is never cached. */
interface ClientCache {
  /** The cached client, whatever its age. */
  get(id: string): CachedClient | undefined
  /** The cached client, or the client in the database if the cached one is too old. */
  find(id: string): Promise<CachedClient | undefined>
  /** Reads the client from the database, and caches it. */
  load(id: string): Promise<CachedClient | undefined>
  delete(id: string): void
}

/**
 * While the database is down, a cached client stays in use whatever its age. One request tries the database again. Meanwhile
 * the other requests get the cached client at once.
 *
 * @param read one query for the row of a client
 * @param maxAge milliseconds after which a client is read again
 */
export function createClientCache(
  read: (id: string) => Promise<ReadRow | undefined>,
  maxAge: number,
  clock: Clock,
): ClientCache {
  const cache = new Map<string, CachedClient>()
  const inFlight = new Map<string, Promise<CachedClient | undefined>>()
  /** The time of the last failed refresh of each client. */
  const failedAt = new Map<string, Moment>()

  async function load(id: string): Promise<CachedClient | undefined> {
    const asked = clock.now()
    const row = await read(id)
    // Cache only clients that exist. Otherwise a caller with invented ids could fill the cache.
    if (row) cache.set(id, toCachedClient(row, asked))
    else cache.delete(id)
    return cache.get(id)
  }

  /** Reads the client again, once for all concurrent requests. Returns the cached client if the database fails. */
  function refresh(id: string): Promise<CachedClient | undefined> {
    const before = inFlight.get(id)
    if (before) return before
    const reading = load(id)
      .then((found) => {
        failedAt.delete(id)
        return found
      })
      .catch(() => {
        failedAt.set(id, clock.now())
        return cache.get(id)
      })
      .finally(() => inFlight.delete(id))
    inFlight.set(id, reading)
    return reading
  }

  return {
    get: (id) => cache.get(id),

    async find(id) {
      // Postgres rejects a NUL byte in a text, and no client id has one.
      if (id.includes('\0')) return undefined
      const cached = cache.get(id)
      if (!cached) return load(id)
      if (clock.elapsedSince(cached.readAt) < maxAge) return cached
      const reading = refresh(id)
      // After a failed refresh, other requests use the cached client and do not wait for the database.
      const failed = failedAt.get(id)
      return failed && clock.elapsedSince(failed) < maxAge ? cached : reading
    },

    load,

    delete: (id) => void cache.delete(id),
  }
}
