import { setTimeout as sleep } from 'node:timers/promises'

/**
 * An ioredis client (5 or 6) of a single Redis, of Sentinel or of a cluster. The verifier reads only its options: the verifier
 * opens its own connections, and sends nothing on this one.
 */
export interface RedisClient {
  duplicate(...args: never[]): unknown
  readonly isCluster?: boolean
  readonly options?: unknown
}

/** An address (`redis://…` or `rediss://…`), or a client. */
export type RedisLocation = string | RedisClient

/** The part of an ioredis client that the verifier uses. */
export interface RedisConnection {
  connect(): Promise<unknown>
  call(command: string, ...args: (string | number)[]): Promise<unknown>
  disconnect(reconnect?: boolean): void
  readonly isCluster?: boolean
  on(event: string, listener: (error: Error) => void): unknown
}

type Options = Record<string, unknown>
interface Duplicable {
  isCluster?: boolean
  options?: { redisOptions?: Options }
  duplicate(...args: unknown[]): RedisConnection
}

/** @throws TypeError if this is not an address or a client. The message does not contain the address, which may hold a password */
export function requireRedisLocation(redis: unknown): asserts redis is RedisLocation {
  const isAddress =
    typeof redis === 'string' && URL.canParse(redis) && ['redis:', 'rediss:'].includes(new URL(redis).protocol)
  const isClient = typeof (redis as RedisClient | null)?.duplicate === 'function'
  if (!isAddress && !isClient) {
    throw new TypeError(
      'revocation.redis must be an address that begins with redis:// or rediss://, or an ioredis client',
    )
  }
}

/** These options replace those of the given client: plain answers, plain keys, and no command that waits for a connection. */
const REQUIRED_OPTIONS: Options = {
  lazyConnect: true,
  connectTimeout: 1000,
  // The time limits of the given client are for its own commands. The feed waits in Redis for news.
  commandTimeout: undefined,
  socketTimeout: undefined,
  maxRetriesPerRequest: 0,
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  // The ready check needs the right to call INFO. A Redis that is loading refuses commands itself.
  enableReadyCheck: false,
  keyPrefix: '',
  protocol: 2,
  stringNumbers: false,
  readOnly: false,
}

/** Creates a connection and does not open it. ioredis is loaded here, so that other modes do not need it installed. */
export async function createRedisConnection(redis: RedisLocation, options: Options): Promise<RedisConnection> {
  const all = { ...REQUIRED_OPTIONS, ...options }
  let connection: RedisConnection
  if (typeof redis === 'string') {
    const { Redis } = await loadIoredis()
    connection = new Redis(redis, all) as unknown as RedisConnection
  } else {
    const client = redis as unknown as Duplicable
    connection = client.isCluster
      ? client.duplicate([], {
          ...all,
          scaleReads: 'master',
          redisOptions: { ...client.options?.redisOptions, ...all },
        })
      : client.duplicate(all)
  }
  // Each failed command rejects. Without a listener ioredis would also write the error to the console.
  connection.on('error', () => {})
  return connection
}

async function loadIoredis() {
  try {
    return await import('ioredis')
  } catch (error) {
    throw new Error('this mode needs ioredis: run npm install ioredis', { cause: error })
  }
}

/**
 * Throws if this Redis is a replica. A replica learns of changes late, so an ended session may still exist there. If an ACL
 * forbids the command ROLE, the connection is trusted.
 */
export async function requirePrimary(connection: RedisConnection): Promise<void> {
  // A node of a cluster redirects commands to the primary.
  if (connection.isCluster) return
  const role = await connection.call('ROLE').catch((error: Error) => {
    if (error.message.startsWith('NOPERM')) return undefined
    throw error
  })
  if (Array.isArray(role) && role[0] === 'slave') throw new Error('this Redis is a replica: name the primary')
}

/** @throws Error if the answer takes longer than this number of milliseconds */
export async function withTimeout<Answer>(milliseconds: number, answer: Promise<Answer>): Promise<Answer> {
  const done = new AbortController()
  const timeout = sleep(milliseconds, undefined, { signal: done.signal }).then(() => {
    throw new Error(`no answer within ${milliseconds} ms`)
  })
  timeout.catch(() => {})
  answer.catch(() => {})
  try {
    return await Promise.race([answer, timeout])
  } finally {
    done.abort()
  }
}
