import { fetchFailure, fetchJson } from './bounded-fetch.js'
import type { Clock } from './clock.js'

/** The part of the service's metadata (RFC 8414) that a verifier needs. All addresses belong to the service. */
interface ServiceMetadata {
  issuer: string
  jwksUri: string
  introspectionEndpoint: string
  feedEndpoint: string
}

/** `timeout` in milliseconds, `size` in bytes. */
const LIMITS = { timeout: 2000, size: 64 * 1024 }
const WELL_KNOWN = '/.well-known/oauth-authorization-server'
const LOOPBACK = new Set(['localhost', '127.0.0.1', '[::1]'])

/**
 * Fetches the metadata of the service.
 *
 * Every address is used on the service's own origin: metadata cannot make the verifier send its credentials elsewhere.
 *
 * @param service the URL of the service, by which this process reaches it
 * @param issuer the expected issuer. By default the service's URL
 * @throws Error if the metadata cannot be fetched, has another issuer, or names an address of another server
 */
export async function discover(service: string, issuer: string | undefined, clock: Clock): Promise<ServiceMetadata> {
  const base = new URL(service)
  const path = base.pathname.replace(/\/$/, '')
  const own = base.origin + path
  const metadata = await fetchMetadata([base.origin + WELL_KNOWN + path, own + WELL_KNOWN], clock)
  const named = metadata.issuer
  if (typeof named !== 'string' || !URL.canParse(named)) throw new Error('the metadata of the service has no issuer')
  if (!(issuer === undefined ? isSameServer(named, own) : named === issuer)) {
    throw new Error(`the service names another issuer: if ${named} is right, set issuer to it`)
  }

  const issuerBase = named.replace(/\/$/, '')
  const address = (name: string): string => {
    const value = metadata[name]
    if (typeof value !== 'string') throw new Error(`the metadata has no ${name}: update the service`)
    for (const prefix of [issuerBase, own]) {
      if (value.startsWith(`${prefix}/`)) return new URL(own + value.slice(prefix.length)).href
    }
    throw new Error(`${name} in the metadata is not an address of the service: check ISSUER of the service`)
  }
  return {
    issuer: named,
    jwksUri: address('jwks_uri'),
    introspectionEndpoint: address('introspection_endpoint'),
    feedEndpoint: address('revocation_feed_endpoint'),
  }
}

/** RFC 8414 §3.1 puts the path of an issuer behind the well-known part. A gateway may expect it in front. */
async function fetchMetadata(addresses: readonly string[], clock: Clock): Promise<Record<string, unknown>> {
  let failure = ''
  for (const address of new Set(addresses)) {
    try {
      const { status, body } = await fetchJson(
        address,
        () => ({ headers: { accept: 'application/json' } }),
        LIMITS,
        clock,
      )
      if (status === 200 && typeof body === 'object' && body !== null) return body as Record<string, unknown>
      failure = `${address} answered ${status === 200 ? 'something other than JSON' : status}`
    } catch (error) {
      failure = fetchFailure(error)
    }
  }
  throw new Error(`the metadata of the service cannot be fetched: ${failure}`)
}

/** Whether the two URLs are equal. The names of the loopback interface are the same host. */
function isSameServer(issuer: string, service: string): boolean {
  return normalize(issuer) === normalize(service)
}

function normalize(address: string): string {
  const { protocol, hostname, port, pathname } = new URL(address)
  return `${protocol}//${LOOPBACK.has(hostname) ? 'localhost' : hostname}:${port}${pathname.replace(/\/$/, '')}`
}
