/** DATABASE_URL for Postgres. node-postgres knows one host, so each host gets an address of its own. */
interface PostgresAddress {
  urls: readonly [string, ...string[]]
  /** A connection to a standby is refused: the address has several hosts, or `target_session_attrs`. */
  primaryOnly: boolean
  /** A pooler such as PgBouncer is between, and refuses settings at the start of a connection. */
  pooler: boolean
}

/**
 * Splits an address by its hosts (libpq §34.1.1.3): `one:5432,two:5432`, or the parameters `host` and `port` with commas.
 *
 * @throws Error if a host is empty, or if the ports do not match the hosts
 */
export function parsePostgresAddress(address: string): PostgresAddress {
  const text = withoutDeprecatedModes(address)
  const urls = splitHosts(text)
  const parameters = parametersOf(text)
  return {
    urls,
    primaryOnly: urls.length > 1 || parameters.has('target_session_attrs'),
    pooler: parameters.has('pgbouncer'),
  }
}

/** These modes mean `verify-full` to node-postgres, which warns of them on standard error. With libpq's meaning they stay. */
function withoutDeprecatedModes(text: string): string {
  if (parametersOf(text).has('uselibpqcompat')) return text
  return text.replace(/([?&]sslmode=)(?:prefer|require|verify-ca)(?=&|$)/, '$1verify-full')
}

function splitHosts(text: string): [string, ...string[]] {
  const { start, end } = hostsOf(text)
  const inAuthority = text.slice(start, end)
  if (inAuthority !== '') {
    return forEach(inAuthority.split(','), (host) => text.slice(0, start) + host + text.slice(end))
  }
  const parameters = parametersOf(text)
  const hosts = parameters.get('host')?.split(',') ?? []
  const ports = parameters.get('port')?.split(',') ?? []
  if (hosts.length < 2) return [text]
  if (ports.length > 1 && ports.length !== hosts.length) {
    throw new Error('the parameter port must have one number, or one for each host')
  }
  return forEach(hosts, (host, index) => {
    const own = new URLSearchParams(parameters)
    own.set('host', host)
    const port = ports[index] ?? ports[0]
    if (port !== undefined) own.set('port', port)
    return `${text.slice(0, text.indexOf('?'))}?${own}`
  })
}

function forEach(hosts: string[], toUrl: (host: string, index: number) => string): [string, ...string[]] {
  if (hosts.length > 1 && hosts.some((host) => host.trim() === '')) {
    throw new Error('names an empty host: write a host before and after each comma')
  }
  return hosts.map(toUrl) as [string, ...string[]]
}

/** Empty for an address that another check refuses. */
function parametersOf(text: string): URLSearchParams {
  const query = text.indexOf('?')
  return new URLSearchParams(query < 0 ? '' : text.slice(query))
}

/** The position of the hosts and ports as written. Empty without a host. */
export function hostsOf(text: string): { start: number; end: number } {
  const { start, end } = authorityOf(text)
  return { start: Math.max(start, text.lastIndexOf('@', end - 1) + 1), end }
}

/** The position of the user name, password, hosts and ports. */
export function authorityOf(text: string): { start: number; end: number } {
  const start = text.indexOf('//') + 2
  const length = text.slice(start).search(/[/?#]/)
  return { start, end: length < 0 ? text.length : start + length }
}
