import { Redis } from 'ioredis'

/**
 * The connection to Redis. A command is answered or fails within 200 ms, whatever Redis does: ioredis's own defaults
 * queue commands while it is away and repeat them, and a request then hangs for many seconds.
 */
export function connectRedis(url: string, onError: (error: Error) => void): Redis {
  const client = new Redis(url, {
    commandTimeout: 200,
    connectTimeout: 1000,
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    // Commands of one tick leave together.
    enableAutoPipelining: true,
    retryStrategy: (attempt) => Math.min(attempt * 50, 500),
    // A primary that has become a replica says READONLY: connect anew, to where the primary is now.
    reconnectOnError: (error) => error.message.startsWith('READONLY'),
  })
  client.on('error', onError)
  return client
}
