import { Cluster, Command, Redis, type RedisOptions } from 'ioredis'

/** The configured address of Redis. */
export interface RedisLocation {
  mode: 'single' | 'sentinel' | 'cluster'
  /** The address of the single Redis, or of the sentinels, or of some nodes of the cluster. */
  urls: readonly [string, ...string[]]
  /** The same addresses, if their credentials may change. */
  followed?: FollowedUrls | undefined
  /** `NAME` or `USER:PASSWORD@NAME`. */
  sentinelMaster?: string | undefined
}

/** Addresses whose credentials may change. */
export interface FollowedUrls {
  current(): readonly [string, ...string[]]
  /** Brings {@link current} up to date. */
  read(): Promise<void>
  /** How many milliseconds `read` takes at most. */
  readTimeout: number
}

export type RedisClient = Redis | Cluster

/** Milliseconds. With the defaults of ioredis, a stalled Redis would hold a request for many seconds. */
const COMMAND_TIMEOUT = 200

/**
 * Patches the timeout of ioredis commands. On an overloaded machine the timer may run late and before the socket is read,
 * although the answer of Redis is already in the socket's buffer. So the patch lets the event loop read the socket first, and
 * `askWithin` then checks the age of the answer. A patch is the only way: ioredis opens the connections of a cluster itself.
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

// No automatic pipelining. `batchPerTick` already sends the look-ups of one tick as one command, so pipelining would cost this
// process more than it saves Redis. In a cluster, a pipelined command that is redirected to another node fails.
const OPTIONS = {
  connectTimeout: 1000,
  // Replace a connection that receives nothing: it may be half open, and then no event reports it.
  socketTimeout: 1000,
  maxRetriesPerRequest: 0,
  autoResendUnfulfilledCommands: false,
  enableOfflineQueue: false,
  // A primary that became a replica answers READONLY: reconnect, to find the new primary.
  reconnectOnError: (error: Error) => error.message.includes('READONLY'),
} satisfies RedisOptions

/** @param commandTimeout milliseconds for which a command may wait for its answer */
export function connectRedis(
  location: RedisLocation,
  onError: (error: Error) => void,
  commandTimeout = COMMAND_TIMEOUT,
): RedisClient {
  const client = open(location, commandTimeout)
  if (location.followed) followCredentials(client, location.followed, location.sentinelMaster)
  client.on('error', onError)
  if (client instanceof Redis) reconnectAfterEnd(client, pauseOf(location))
  else endRefreshes(client)
  return client
}

/**
 * Gives each new connection the present credentials. ioredis takes them from these options when it begins to connect, and cannot
 * wait for them. So the file is read when a connection ends, and {@link pauseOf} leaves the time for it. It is also read with each
 * attempt, and the next attempt has what was found. A cluster makes a client for each node, and reports it before that client
 * connects.
 */
function followCredentials(client: RedisClient, { current, read }: FollowedUrls, sentinelMaster = ''): void {
  const get = (name: 'username' | 'password') => ({
    get: () => {
      void read()
      return parse(current()[0])[name]
    },
    enumerable: true,
  })
  const own = { username: get('username'), password: get('password') }
  client.on('close', read)
  if (isCluster(client)) {
    client.on('-node', read)
    client.on('+node', (node: Redis) => {
      Object.defineProperties(node.options, own)
      node.on('close', read)
    })
    return
  }
  const sentinels = { sentinelUsername: own.username, sentinelPassword: own.password }
  const hasOwnAccess = sentinelMaster.includes('@')
  Object.defineProperties(client.options, { ...(!hasOwnAccess && own), ...(client.options.sentinels && sentinels) })
}

/**
 * Reconnects after ioredis has stopped retrying. ioredis ends a connection for good if it is told to disconnect while it
 * connects. A sentinel does this when it reports the failover that broke the previous connection.
 */
function reconnectAfterEnd(client: Redis, pause: number): void {
  let isClosed = false
  const disconnect = client.disconnect.bind(client)
  client.disconnect = (reconnect) => {
    isClosed ||= !reconnect
    disconnect(reconnect)
  }
  client.on('end', () => {
    if (!isClosed) setTimeout(() => isClosed || client.connect().catch(() => {}), pause).unref()
  })
}

/**
 * Ends the refreshes of the slots with the connection. ioredis starts its timer again when a refresh ends after the disconnect.
 * That timer would keep the process alive for good.
 */
function endRefreshes(client: Cluster): void {
  const disconnect = client.disconnect.bind(client)
  client.disconnect = (reconnect) => {
    if (!reconnect) client.refreshSlotsCache = () => {}
    disconnect(reconnect)
  }
}

/** Milliseconds between the end of a connection and the next attempt. */
const pauseOf = ({ followed }: RedisLocation) => (followed ? followed.readTimeout + 20 : 50)

function open(location: RedisLocation, commandTimeout: number): RedisClient {
  const { mode, urls, sentinelMaster = '' } = location
  const [{ username, password, db, tls }] = urls.map(parse) as [Address]
  // Only in this mode: a sentinel and a cluster name their nodes by host and port.
  const path = mode === 'single' ? parse(urls[0]).path : undefined
  const addresses = urls
    .map(parse)
    .map(({ host, port }) => ({ host, port: port ?? (mode === 'sentinel' ? 26379 : 6379) }))
  const credentials = { ...(username && { username }), ...(password && { password }) }
  const retry = (attempt: number) => Math.max(pauseOf(location), Math.min(attempt * 50, 500))
  const access = { ...OPTIONS, commandTimeout, ...credentials, ...(tls && { tls: {} }) }
  switch (mode) {
    case 'single':
      return new Redis({ ...access, ...(path === undefined ? addresses[0] : { path }), db, retryStrategy: retry })
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
        // Follow the sentinels' messages about a failover. An isolated old primary would still answer its clients.
        failoverDetector: true,
        db,
        retryStrategy: retry,
      })
    }
    case 'cluster':
      return new Cluster(addresses, {
        redisOptions: access,
        enableOfflineQueue: false,
        // Keep the host name: the certificate is for the name, not for the address.
        dnsLookup: (host, found) => found(null, host),
        slotsRefreshInterval: 1000,
        slotsRefreshTimeout: 500,
        // The delays must fit into the timeout of a command.
        retryDelayOnTryAgain: 20,
        retryDelayOnFailover: 50,
        retryDelayOnClusterDown: 0,
        clusterRetryStrategy: retry,
      })
  }
}

interface Address {
  /** Of a Unix socket, in the place of host and port. */
  path?: string
  host: string
  port: number | undefined
  username: string | undefined
  password: string | undefined
  db: number
  tls: boolean
}

function parse(url: string): Address {
  // The URL parser refuses credentials without a host.
  const { protocol, hostname, port, username, password, pathname, searchParams } = new URL(
    url.replace(/^(unix:\/\/[^/]*@)\//, '$1localhost/'),
  )
  const isSocket = protocol === 'unix:'
  return {
    ...(isSocket && { path: decodeURIComponent(pathname) }),
    // A URL has brackets around an IPv6 address; a socket address has none.
    host: hostname.replace(/^\[(.*)\]$/, '$1') || '127.0.0.1',
    port: port === '' ? undefined : Number(port),
    username: decodeURIComponent(username) || undefined,
    password: decodeURIComponent(password) || undefined,
    db: Number(isSocket ? searchParams.get('db') : pathname.slice(1)),
    tls: protocol === 'rediss:',
  }
}

function parseSentinelMaster(text: string): { name: string; username?: string; password?: string } {
  const at = text.lastIndexOf('@')
  if (at < 0) return { name: text }
  const [username = '', ...password] = text.slice(0, at).split(':')
  return { name: text.slice(at + 1), username, password: password.join(':') }
}

/** The timeout of a command, and the maximum age of its answer. Milliseconds. */
export function commandTimeout(client: RedisClient): number {
  return (isCluster(client) ? client.options.redisOptions : client.options)?.commandTimeout ?? COMMAND_TIMEOUT
}

export function isCluster(client: RedisClient): client is Cluster {
  return client.isCluster
}
