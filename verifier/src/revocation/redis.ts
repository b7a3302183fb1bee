import { setTimeout as sleep } from 'node:timers/promises'

/**
 * An ioredis client (5 or 6): of a single Redis, by way of sentinels, or of a cluster. It is asked only how to connect:
 * the verifier opens connections of its own and leaves this one alone.
 */
export interface RedisClient {
  duplicate(...args: never[]): unknown
  readonly isCluster?: boolean
  readonly options?: unknown
}

/** `redis://…` or `rediss://…`, or a client. */
export type RedisLocation = string | RedisClient

/** What is used of an ioredis client. */
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

/** @throws TypeError where this is neither an address nor a client. The address may hold a password: nobody repeats it. */
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

/** Whatever the client was made for, these hold: plain answers, plain keys, and no command that waits for a connection. */
const OURS: Options = {
  lazyConnect: true,
  connectTimeout: 1000,
  maxRetriesPerRequest: 0,
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  // It would ask INFO, which a verifier has no need to be allowed. A Redis that still loads refuses by itself.
  enableReadyCheck: false,
  keyPrefix: '',
  protocol: 2,
  stringNumbers: false,
  readOnly: false,
}

/**
 * A connection of our own, not yet open. ioredis is loaded here, when it is first needed: who needs no Redis need not
 * install it.
 */
export async function redisConnection(redis: RedisLocation, options: Options): Promise<RedisConnection> {
  const all = { ...OURS, ...options }
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
  // What goes wrong is told to whoever waits for an answer. With no listener ioredis writes to the console.
  connection.on('error', () => {})
  return connection
}

async function loadIoredis() {
  try {
    return await import('ioredis')
  } catch (error) {
    throw new Error('this mode needs Redis: npm install ioredis', { cause: error })
  }
}

/**
 * A replica answers late, and a session that has ended may live on in it for a while: only a primary is asked. Redis may
 * forbid the question (ACL); then the address is believed.
 */
export async function requirePrimary(connection: RedisConnection): Promise<void> {
  // The nodes of a cluster send us on to the primary by themselves.
  if (connection.isCluster) return
  const role = await connection.call('ROLE').catch((error: Error) => {
    if (error.message.startsWith('NOPERM')) return undefined
    throw error
  })
  if (Array.isArray(role) && role[0] === 'slave') throw new Error('this Redis is a replica: name the primary')
}

/** The answer, or an error after so many milliseconds. */
export async function within<Answer>(milliseconds: number, answer: Promise<Answer>): Promise<Answer> {
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
