import { authorityOf, hostsOf, parsePostgresAddress } from '../database/postgres-address.js'
import { list } from './list.js'

/** An `http:` or `https:` address that the service publishes or sends requests to. */
export function httpUrl(text: string): string {
  const { username, password, pathname } = parseUrl(text, 'http:', 'https:')
  if (/[?#]/.test(text)) throw new Error('must have no query and no fragment')
  if (username + password !== '') throw new Error('must have no user name and no password')
  if (/\s/.test(text)) throw new Error('must have no white space')
  if (!isPercentEncoded(pathname)) throw new Error('a % must be written as %25')
  return text
}

/** What Kubernetes puts into the environment for each service: `REDIS_PORT=tcp://10.0.0.1:6379`. */
const serviceLink = (protocol: string) =>
  `tcp:// is the link of a Kubernetes service: write ${protocol}://, with the name and the port of the service`

/** The addresses of one or several nodes, comma-separated. `unix://` is the path of a socket. */
export function redisUrls(text: string): [string, ...string[]] {
  if (text.startsWith('tcp://')) throw new Error(serviceLink('redis'))
  if (text.startsWith('unix:')) return [redisSocket(text)]
  const items = list(text)
  if (items.slice(1).some((item) => !item.includes('://'))) {
    throw new Error('a comma separates addresses: in a user name or a password, write %2C')
  }
  const urls = items.map((item) => parseStoreUrl(item, 'redis:', 'rediss:'))
  if (new Set(urls.map(({ protocol }) => protocol)).size > 1) {
    throw new Error('the nodes differ in TLS: write redis:// for all, or rediss:// for all')
  }
  if (urls.some(({ pathname }) => !/^\/?\d*$/.test(pathname))) {
    throw new Error('only the number of a database may follow the host, such as redis://localhost/1')
  }
  if (urls.some(({ search }) => search !== '')) {
    throw new Error(
      'takes no parameters: remove the ? and the text after it. Write rediss:// for TLS, and /1 for database 1',
    )
  }
  return items
}

/** `unix://USER:PASSWORD@/PATH?db=1`. Credentials and the number of the database may be left out. */
function redisSocket(text: string): string {
  const { pathname, search, searchParams } = parseStoreUrl(text, 'unix:')
  if (hostOf(text) !== '' || pathname.length < 2) {
    throw new Error('write the path of the socket after three slashes, such as unix:///run/redis/redis.sock')
  }
  if (search !== '' && !/^\d{1,4}$/.test(searchParams.get('db') ?? '')) {
    throw new Error('a socket takes only the parameter db, the number of a database, such as ?db=1')
  }
  if (searchParams.size > 1) throw new Error('a socket takes only the parameter db, once')
  return text
}

/** `sqlite:PATH`, or an address for node-postgres without the parts that node-postgres would misread or ignore. */
export function databaseUrl(text: string): string {
  if (text.startsWith('sqlite:')) {
    if (text === 'sqlite:') throw new Error('name a file, such as sqlite:data/latchkey.db')
    return text
  }
  if (text.startsWith('tcp://')) throw new Error(serviceLink('postgres'))
  if (!/^postgres(ql)?:\/\//.test(text)) throw new Error('write sqlite:PATH or postgres://user:password@host/database')
  for (const url of parsePostgresAddress(text).urls) checkPostgresHost(url)
  return text
}

/** Checks the address of one host. */
function checkPostgresHost(text: string): void {
  const { searchParams } = parseStoreUrl(text, 'postgres:', 'postgresql:')
  const parameters = [...searchParams]
  for (const [index, [name, value]] of parameters.entries()) {
    // A broken address may have a part of its password here. Only a plausible parameter name is repeated.
    const shown = /^\w{1,40}$/.test(name) ? `the parameter ${name}` : 'a parameter'
    if (parameters.findIndex(([other]) => other === name) < index) throw new Error(`${shown} is given twice`)
    const accepts = Object.hasOwn(POSTGRES_PARAMETERS, name)
      ? POSTGRES_PARAMETERS[name as keyof typeof POSTGRES_PARAMETERS]
      : undefined
    if (SCHEMA_PARAMETERS.includes(name)) {
      throw new Error(`${shown} would have no effect: write options=-c%20search_path%3DSCHEMA instead`)
    }
    if (!accepts) {
      const names = Object.keys(POSTGRES_PARAMETERS).join(', ')
      throw new Error(`${shown} would have no effect: remove it. These parameters have an effect: ${names}`)
    }
    if (!accepts.test(value)) throw new Error(`${shown} must be ${describeValues(accepts)}`)
  }
  const host = searchParams.get('host')
  if (host !== null && hostOf(text) !== '')
    throw new Error('names a host twice, also in the parameter host: keep one of them')
}

/** The names of other clients for the schema. */
const SCHEMA_PARAMETERS = ['schema', 'currentSchema', 'search_path']

/**
 * The parameters that node-postgres or this service reads, and their values. Other parameters are ignored, so a time limit, a
 * schema or a security option would silently have no effect. The service sets its own time limits.
 */
const POSTGRES_PARAMETERS = {
  host: /^.+$/,
  port: /^\d{1,5}$/,
  user: /^.+$/,
  password: /^.+$/,
  sslmode: /^(disable|no-verify|prefer|require|verify-ca|verify-full)$/,
  ssl: /^(true|1|0|no-verify)$/,
  sslrootcert: /^.+$/,
  sslcert: /^.+$/,
  sslkey: /^.+$/,
  sslnegotiation: /^(postgres|direct)$/,
  uselibpqcompat: /^(true)$/,
  options: /^.+$/,
  application_name: /^.+$/,
  // The service writes, so it needs the primary.
  target_session_attrs: /^(read-write|primary)$/,
  pgbouncer: /^(true)$/,
}

function describeValues({ source }: RegExp): string {
  const choices = /^\^\((.*)\)\$$/.exec(source)?.[1]
  if (choices !== undefined) return `one of: ${choices.replaceAll('|', ', ')}`
  return source.includes('\\d') ? 'a number' : 'set, or removed'
}

/** No error repeats a part of the address, because it may hold a password. */
function parseUrl(text: string, ...protocols: string[]): URL {
  const parsed = URL.canParse(text) ? new URL(text) : undefined
  if (!parsed || !protocols.includes(parsed.protocol)) {
    throw new Error(`write an address that begins with ${protocols.map((protocol) => `${protocol}//`).join(' or ')}`)
  }
  return parsed
}

/**
 * An address that may have credentials. A reserved character that is not encoded ends the password. The client would then send
 * half of the password, or send it to another host.
 */
function parseStoreUrl(text: string, ...protocols: string[]): URL {
  if (!protocols.some((protocol) => text.startsWith(`${protocol}//`))) return parseUrl(text, ...protocols)
  if (text.includes('#')) throw new Error('a # in the user name or the password must be written as %23')
  if (/\s/.test(text)) throw new Error('white space must be written as %20')
  if (!isPercentEncoded(text)) throw new Error('a % in the user name or the password must be written as %25')
  if (text.lastIndexOf('@') > authorityOf(text).end) {
    throw new Error('in the user name and the password, / must be written as %2F, ? as %3F, and @ as %40')
  }
  // Credentials without a host: the parameter host has the folder of a socket. The URL parser rejects this form.
  const url = hostOf(text) === '' ? text.replace('@', '@localhost') : text
  if (!URL.canParse(url)) {
    throw new Error('the address cannot be read: check the port, and write : in a user name and a password as %3A')
  }
  return new URL(url)
}

/** The host and the port as written. Empty without a host. */
function hostOf(text: string): string {
  const { start, end } = hostsOf(text)
  return text.slice(start, end)
}

function isPercentEncoded(text: string): boolean {
  try {
    return decodeURIComponent(text) !== undefined
  } catch {
    return false
  }
}
