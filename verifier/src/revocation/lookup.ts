import { askWithin, type Clock } from '../clock.js'
import type { AccessTokenClaims } from '../token/claims.js'
import { TokenError } from '../token/token-error.js'
import { type RedisConnection, type RedisLocation, redisConnection, requirePrimary } from './redis.js'
import { clientRevocationKey, epochKey, parseWholeNumber, sessionKey } from './redis-keys.js'
import type { Revocation } from './revocation.js'

/** A look-up is answered or refused within this, and an older answer is not believed. Milliseconds. */
const COMMAND_TIMEOUT = 200
/** A connection on which nothing comes back for so long is given up, and another opened. Milliseconds. */
const SOCKET_TIMEOUT = 1000
/** How long `ready` waits for Redis. Milliseconds. */
const READY_TIMEOUT = 5000

/** Asks Redis on every request: one round trip, and what it says is so. */
export function createLookup(redis: RedisLocation, clock: Clock): Revocation {
  let connection: RedisConnection | undefined
  /** Connected, and to a primary. */
  let isUsable = false
  let trouble: Error = new Error('not connected yet')
  let isClosed = false

  const opened = open().catch((error: Error) => {
    trouble = error
  })

  async function open(): Promise<void> {
    const made = await redisConnection(redis, {
      commandTimeout: COMMAND_TIMEOUT,
      socketTimeout: SOCKET_TIMEOUT,
      // Commands of one tick leave together.
      enableAutoPipelining: true,
      retryStrategy: (attempt: number) => Math.min(attempt * 50, 500),
      clusterRetryStrategy: (attempt: number) => Math.min(attempt * 50, 500),
    })
    if (isClosed) return made.disconnect()
    connection = made
    made.on('error', (error) => {
      trouble = error
    })
    made.on('close', () => {
      isUsable = false
    })
    made.on('ready', async () => {
      try {
        await requirePrimary(made)
        isUsable = true
      } catch (error) {
        trouble = error as Error
        // To where the primary is by then.
        made.disconnect(true)
      }
    })
    // ioredis gives up for good where a sentinel tells of a failover while the connection is being made.
    made.on('end', () => {
      if (!isClosed) setTimeout(() => isClosed || made.connect().catch(() => {}), 50).unref()
    })
    made.connect().catch(() => {})
  }

  async function ask(command: string, key: string): Promise<unknown> {
    if (!connection || !isUsable) throw new TokenError('unavailable', `Redis is not there: ${trouble.message}`)
    const asked = connection
    try {
      return await askWithin(COMMAND_TIMEOUT, () => asked.call(command, key), clock)
    } catch (error) {
      throw new TokenError('unavailable', `Redis failed: ${(error as Error).message}`)
    }
  }

  /** A client's own token: it has no session, only a time up to which such tokens have ended. */
  async function isClientTokenLive({ sub, iat }: AccessTokenClaims): Promise<boolean> {
    const [notBefore, epoch] = await Promise.all([ask('GET', clientRevocationKey(sub)), ask('GET', epochKey)])
    // A Redis that was emptied has forgotten what had ended: of what was issued before, it knows nothing.
    const begin = parseWholeNumber(epoch)
    if (begin === undefined) throw new TokenError('unavailable', `no service writes to this Redis: check ${epochKey}`)
    if (notBefore === null) return iat >= begin
    const end = parseWholeNumber(notBefore)
    if (end === undefined) throw new TokenError('unavailable', `${clientRevocationKey(sub)} holds no Unix time`)
    return iat >= begin && iat > end
  }

  return {
    async ready() {
      await opened
      const began = clock.now()
      while (!isUsable) {
        if (!connection || isClosed || clock.elapsedSince(began) > READY_TIMEOUT)
          throw new Error(`Redis is not there: ${trouble.message}`)
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
      trouble = new Error('the verifier is closed')
      await opened
      connection?.disconnect()
    },
  }
}
