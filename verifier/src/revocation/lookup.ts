import { askWithin, type Clock } from '../clock.js'
import type { AccessTokenClaims } from '../token/claims.js'
import { TokenError } from '../token/token-error.js'
import { createRedisConnection, type RedisConnection, type RedisLocation, requirePrimary } from './redis.js'
import { clientRevocationKey, epochKey, parseWholeNumber, sessionKey } from './redis-keys.js'
import type { Revocation } from './revocation.js'

/** Milliseconds. A look-up fails after this time, and an older answer is refused. */
const COMMAND_TIMEOUT = 200
/** Milliseconds. A connection without an answer for this time is replaced. */
const SOCKET_TIMEOUT = 1000
/** Milliseconds that `ready` waits for Redis. */
const READY_TIMEOUT = 5000

/** Asks Redis about each token: one round trip. The answer is authoritative. */
export function createLookup(redis: RedisLocation, clock: Clock): Revocation {
  let connection: RedisConnection | undefined
  /** The connection is open, and leads to a primary. */
  let isUsable = false
  let lastError: Error = new Error('no connection has been opened yet')
  let isClosed = false

  const opened = open().catch((error: Error) => {
    lastError = error
  })

  async function open(): Promise<void> {
    const created = await createRedisConnection(redis, {
      commandTimeout: COMMAND_TIMEOUT,
      socketTimeout: SOCKET_TIMEOUT,
      // Commands of one tick share one write.
      enableAutoPipelining: true,
      retryStrategy: (attempt: number) => Math.min(attempt * 50, 500),
      clusterRetryStrategy: (attempt: number) => Math.min(attempt * 50, 500),
    })
    if (isClosed) return created.disconnect()
    connection = created
    created.on('error', (error) => {
      lastError = error
    })
    created.on('close', () => {
      isUsable = false
    })
    created.on('ready', async () => {
      try {
        await requirePrimary(created)
        isUsable = true
      } catch (error) {
        lastError = error as Error
        // By then the address may lead to the primary.
        created.disconnect(true)
      }
    })
    // ioredis stops for good if Sentinel reports a failover while the connection opens.
    created.on('end', () => {
      if (!isClosed) setTimeout(() => isClosed || created.connect().catch(() => {}), 50).unref()
    })
    created.connect().catch(() => {})
  }

  async function ask(command: string, key: string): Promise<unknown> {
    if (!connection || !isUsable) throw new TokenError('unavailable', `Redis is unavailable: ${lastError.message}`)
    const current = connection
    try {
      return await askWithin(COMMAND_TIMEOUT, () => current.call(command, key), clock)
    } catch (error) {
      throw new TokenError('unavailable', `Redis failed: ${(error as Error).message}`)
    }
  }

  /** A client's own token has no session. Redis has the time up to which such tokens have ended. */
  async function isClientTokenLive({ sub, iat }: AccessTokenClaims): Promise<boolean> {
    const [revocation, epoch] = await Promise.all([ask('GET', clientRevocationKey(sub)), ask('GET', epochKey)])
    // A Redis that was emptied knows nothing of the tokens from before.
    const begin = parseWholeNumber(epoch)
    if (begin === undefined) throw new TokenError('unavailable', `no service writes to this Redis: check ${epochKey}`)
    if (revocation === null) return iat >= begin
    const revokedUntil = parseWholeNumber(revocation)
    if (revokedUntil === undefined) {
      throw new TokenError('unavailable', `${clientRevocationKey(sub)} is not a time in Unix seconds: delete the key`)
    }
    return iat >= begin && iat > revokedUntil
  }

  return {
    async ready() {
      await opened
      const began = clock.now()
      while (!isUsable) {
        if (!connection || isClosed || clock.elapsedSince(began) > READY_TIMEOUT)
          throw new Error(`Redis is unavailable: ${lastError.message}`)
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
      await ask('EXISTS', epochKey)
    },

    async isLive(claims) {
      const { sub, sid } = claims
      return sid === undefined ? isClientTokenLive(claims) : (await ask('EXISTS', sessionKey(sub, sid))) === 1
    },

    async close() {
      isClosed = true
      isUsable = false
      lastError = new Error('the verifier is closed')
      await opened
      connection?.disconnect()
    },
  }
}
