import { readFile, stat } from 'node:fs/promises'
import {
  type AssertionKeys,
  createAssertionKeys,
  createFetchedKeys,
  fixedKeys,
  KEY_FETCH_LIMITS,
} from '@latchkey/verifier/assertion'
import { fetchFailure, fetchJson, getJsonTrusting, type JsonResponse } from '@latchkey/verifier/bounded-fetch'
import { type Clock, systemClock } from '@latchkey/verifier/clock'
import { assertionKeysFromJwk } from '@latchkey/verifier/jwk'
import { checkKeyUrl, parseJwks } from './client-proof.js'
import type { Client } from './client-row.js'
import type { TrustedIssuer } from './trusted-issuers.js'

interface SignerKeysOptions {
  /** Whether keys may be fetched over HTTP from any host, as in development. */
  plainHttp: boolean
  /** Called when keys cannot be fetched, once for each new reason. */
  onFailure(signer: string, reason: string): void
  clock?: Clock
}

/** Bytes. The bundle of all public certificate authorities has about 250 KB. */
const MAX_CA_SIZE = 1024 * 1024
const MAX_BEARER_SIZE = 16 * 1024

/** The keys of clients and trusted issuers. */
export interface SignerKeys {
  ofClient(client: Client): AssertionKeys | undefined
  ofIssuer(issuer: TrustedIssuer): AssertionKeys
}

export function createSignerKeys({ plainHttp, onFailure, clock = systemClock }: SignerKeysOptions): SignerKeys {
  /** The prepared keys of each client. They stay until the client has other keys, or another address of its keys. */
  const ofClients = new Map<string, { source: string; keys: AssertionKeys }>()

  function fixed(jwks: string): AssertionKeys {
    return createAssertionKeys(fixedKeys(parseJwks(jwks).flatMap(assertionKeysFromJwk)))
  }

  /** Each signer has its own fetches: one that hangs delays nobody else. */
  function fetched(signer: string, fetch: () => Promise<JsonResponse>): AssertionKeys {
    let reported: string | undefined
    const source = createFetchedKeys(
      async () => {
        try {
          const response = await fetch()
          requireOk(response)
          reported = undefined
          return response
        } catch (error) {
          const reason = fetchFailure(error)
          if (reason !== reported) onFailure(signer, reason)
          reported = reason
          throw error
        }
      },
      assertionKeysFromJwk,
      clock,
    )
    return createAssertionKeys(source)
  }

  function get(uri: string, { headers, ca }: KeyRequest): Promise<JsonResponse> {
    const url = checkKeyUrl(uri, 'the address of the keys', plainHttp)
    return ca !== undefined && url.startsWith('https:')
      ? getJsonTrusting(url, { headers, ca }, KEY_FETCH_LIMITS, clock)
      : fetchJson(url, () => ({ headers }), KEY_FETCH_LIMITS, clock)
  }

  return {
    ofClient({ id, jwks, jwksUri }) {
      const source = jwks ?? jwksUri
      if (source === undefined) {
        ofClients.delete(id)
        return undefined
      }
      const known = ofClients.get(id)
      if (known?.source === source) return known.keys
      const keys = jwks !== undefined ? fixed(jwks) : fetched(`client ${id}`, () => get(source, { headers: accept }))
      ofClients.set(id, { source, keys })
      return keys
    },

    ofIssuer(issuer) {
      if (issuer.jwks !== undefined) return fixed(issuer.jwks)
      return fetched(`issuer ${issuer.name}`, async () => {
        // Read for each fetch, so a file that changed is in use with the next one.
        const request = await requestOf(issuer)
        return get(issuer.jwksUri ?? (await discover(issuer.issuer, request)), request)
      })
    },
  }

  /** The address of the keys in the issuer's metadata (OpenID Connect Discovery §4). */
  async function discover(issuer: string, request: KeyRequest): Promise<string> {
    const response = await get(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`, request)
    requireOk(response)
    const { issuer: named, jwks_uri: uri } = response.body as { issuer?: unknown; jwks_uri?: unknown }
    if (named !== issuer) throw new Error('the metadata is of another issuer')
    if (typeof uri !== 'string') throw new Error('the metadata has no jwks_uri')
    return uri
  }
}

interface KeyRequest {
  headers: Record<string, string>
  /** The certificate authorities of the server, as PEM. */
  ca?: string
}

const accept = { accept: 'application/json, application/jwk-set+json' }

async function requestOf({ caFile, bearerFile }: TrustedIssuer): Promise<KeyRequest> {
  const [ca, bearer] = await Promise.all([
    caFile === undefined ? undefined : read(caFile, MAX_CA_SIZE),
    bearerFile === undefined ? undefined : readBearer(bearerFile),
  ])
  return {
    headers: { ...accept, ...(bearer !== undefined && { authorization: `Bearer ${bearer}` }) },
    ...(ca !== undefined && { ca }),
  }
}

/**
 * Reads a bearer token. A client that adds issuers chooses the path, and the address that gets the content. So the content must be
 * a JWT, like the token of a service account: no secret, key or password of this service is one.
 */
async function readBearer(path: string): Promise<string> {
  const text = (await read(path, MAX_BEARER_SIZE)).trim()
  if (!/^[\w-]+\.[\w-]+\.[\w-]+$/.test(text) || !isJwtHeader(text)) {
    throw new Error('the bearer file does not hold a JWT, such as the token of a service account')
  }
  return text
}

function isJwtHeader(token: string): boolean {
  try {
    const header: unknown = JSON.parse(Buffer.from(token.split('.')[0] as string, 'base64url').toString('utf8'))
    return typeof (header as { alg?: unknown } | null)?.alg === 'string'
  } catch {
    return false
  }
}

async function read(path: string, limit: number): Promise<string> {
  try {
    // A device or a pipe would never end.
    const { size } = await stat(path).then((found) => (found.isFile() ? found : { size: Number.POSITIVE_INFINITY }))
    if (size > limit) throw new Error(`${path} is not a file of at most ${limit} bytes`)
    return await readFile(path, 'utf8')
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    throw new Error(code === undefined ? message : `${path} cannot be read: ${code}`)
  }
}

function requireOk({ status, body }: JsonResponse): void {
  if (status !== 200) throw new Error(`the response has the status ${status}`)
  if (typeof body !== 'object' || body === null) throw new Error('the response is not a JSON object')
}
