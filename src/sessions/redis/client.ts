import { Cluster, Command, Redis, type RedisOptions } from 'ioredis'

/** Where Redis is, as the configuration says it. */
export interface RedisLocation {
  mode: 'single' | 'sentinel' | 'cluster'
  /** The one Redis, or the sentinels, or some nodes of the cluster. */
  urls: readonly [string, ...string[]]
  /** `NAME` or `USER:PASSWORD@NAME`. */
  sentinelMaster?: string | undefined
}

export type RedisClient = Redis | Cluster

/** What a command may take, whatever Redis does: ioredis's own defaults hold a request for many seconds. Milliseconds. */
const COMMAND_TIMEOUT = 200

/**
 * Where the machine is starved, a timer runs late and before the socket is read: Redis has answered, and its answer lies
 * there. So it is read first. How old it is by then, who asked looks (`askWithin`). ioredis makes the connections of a cluster by itself, with no place to say so but this.
 */
Command.prototype.setTimeout = function (milliseconds: number): void {
  const command = this as unknown as PendingCommand
  command._commandTimeoutTimer ??= setTimeout(() => {
    setImmediate(() => {
      if (!command.isSettled) command.reject(new Error('Command timed out'))
    })
  }, milliseconds)
}
interface PendingCommand {
  _commandTimeoutTimer?: NodeJS.Timeout
  readonly isSettled: boolean
  reject(error: Error): void
}

// No autopipelining: it costs this process more than it saves Redis, for look-ups of one tick go as one command anyway; and
// in a cluster, of a pipeline, one command that is sent on to another node fails with an error of its own.
const OPTIONS = {
  commandTimeout: COMMAND_TIMEOUT,
  connectTimeout: 1000,
  // A connection on which nothing comes back is given up for another: it may be half open, and nobody would tell us.
  socketTimeout: 1000,
  maxRetriesPerRequest: 0,
  autoResendUnfulfilledCommands: false,
  enableOfflineQueue: false,
  // A primary that has become a replica says READONLY: connect anew, to where the primary is now.
  reconnectOnError: (error: Error) => error.message.includes('READONLY'),
} satisfies RedisOptions
const retry = (attempt: number) => Math.min(attempt * 50, 500)

export function connectRedis(location: RedisLocation, onError: (error: Error) => void): RedisClient {
  const client = open(location)
  client.on('error', onError)
  if (client instanceof Redis) neverGiveUp(client)
  return client
}

/**
 * ioredis gives a connection up for good where it is told to break it while it makes it: by a sentinel, say, which tells of the
 * failover that had broken the one before. Then it must be made anew from here.
 */
function neverGiveUp(client: Redis): void {
  let isClosed = false
  const disconnect = client.disconnect.bind(client)
  client.disconnect = (reconnect) => {
    isClosed ||= !reconnect
    disconnect(reconnect)
  }
  client.on('end', () => {
    if (!isClosed) setTimeout(() => isClosed || client.connect().catch(() => {}), 50).unref()
  })
}

function open({ mode, urls, sentinelMaster = '' }: RedisLocation): RedisClient {
  const [{ username, password, db, tls }] = urls.map(parse) as [Address]
  const addresses = urls
    .map(parse)
    .map(({ host, port }) => ({ host, port: port ?? (mode === 'sentinel' ? 26379 : 6379) }))
  const credentials = { ...(username && { username }), ...(password && { password }) }
  const access = { ...OPTIONS, ...credentials, ...(tls && { tls: {} }) }
  switch (mode) {
    case 'single':
      return new Redis({ ...access, ...addresses[0], db, retryStrategy: retry })
    case 'sentinel': {
      const { name, ...own } = parseSentinelMaster(sentinelMaster)
      return new Redis({
        ...access,
        ...own,
        sentinels: addresses,
        name,
        ...(username && { sentinelUsername: username }),
        ...(password && { sentinelPassword: password }),
        ...(tls && { sentinelTLS: {}, enableTLSForSentinelMode: true }),
        sentinelCommandTimeout: 500,
        sentinelRetryStrategy: retry,
        sentinelReconnectStrategy: retry,
        // Sentinels tell of a failover: the old primary may be cut off, and would go on answering those still with it.
        failoverDetector: true,
        db,
        retryStrategy: retry,
      })
    }
    case 'cluster':
      return new Cluster(addresses, {
        redisOptions: access,
        enableOfflineQueue: false,
        // Not made into an address: the certificate is the name's.
        dnsLookup: (host, found) => found(null, host),
        slotsRefreshInterval: 1000,
        slotsRefreshTimeout: 500,
        // No longer than a command may take in all.
        retryDelayOnTryAgain: 20,
        retryDelayOnFailover: 50,
        retryDelayOnClusterDown: 0,
        clusterRetryStrategy: retry,
      })
  }
}

interface Address {
  host: string
  port: number | undefined
  username: string | undefined
  password: string | undefined
  db: number
  tls: boolean
}

function parse(url: string): Address {
  const { protocol, hostname, port, username, password, pathname } = new URL(url)
  return {
    // An IPv6 address stands in brackets in a URL alone.
    host: hostname.replace(/^\[(.*)\]$/, '$1') || '127.0.0.1',
    port: port === '' ? undefined : Number(port),
    username: decodeURIComponent(username) || undefined,
    password: decodeURIComponent(password) || undefined,
    db: Number(pathname.slice(1)),
    tls: protocol === 'rediss:',
  }
}

function parseSentinelMaster(text: string): { name: string; username?: string; password?: string } {
  const at = text.lastIndexOf('@')
  if (at < 0) return { name: text }
  const [username = '', ...password] = text.slice(0, at).split(':')
  return { name: text.slice(at + 1), username, password: password.join(':') }
}

/** What a command may take, and how old its answer may be. Milliseconds. */
export function commandTimeout(client: RedisClient): number {
  return (isCluster(client) ? client.options.redisOptions : client.options)?.commandTimeout ?? COMMAND_TIMEOUT
}

export function isCluster(client: RedisClient): client is Cluster {
  return client.isCluster
}
