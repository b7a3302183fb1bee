import type { AssertionKeys } from '@latchkey/verifier/assertion'
import { type Clock, type Moment, systemClock } from '@latchkey/verifier/clock'
import type { Database } from '../database/database.js'
import type { Selectable } from '../database/kysely.js'
import type { TrustedIssuerRow } from '../database/schema.js'
import { isSpiffeId, trustDomainOf } from './assertion-claims.js'
import { checkKeyUrl, serializeJwks } from './client-proof.js'

/** An issuer whose tokens may authenticate clients: a Kubernetes cluster, or a SPIFFE trust domain. */
export interface TrustedIssuer {
  name: string
  /** The `iss` of its tokens; or `spiffe://TRUST-DOMAIN`, whose tokens are known by their `sub`. */
  issuer: string
  /** The address of the keys. Undefined with `jwks`, and if the keys are discovered. */
  jwksUri: string | undefined
  /** The public keys, as the JSON text of a list of JWKs. */
  jwks: string | undefined
  /** The path of a PEM file with the certificate authorities of the addresses of the keys. */
  caFile: string | undefined
  /** The path of a file with a bearer token for these addresses. */
  bearerFile: string | undefined
}

export interface ListedIssuer extends TrustedIssuer {
  /** Unix milliseconds. */
  createdAt: number
}

/** A trusted issuer as an operator describes it. */
export interface IssuerDescription {
  name: string
  issuer: string
  jwksUri?: string | undefined
  /** A JWK Set, or a list of JWKs. */
  jwks?: unknown
  caFile?: string | undefined
  bearerFile?: string | undefined
}

export interface TrustedIssuers {
  /** Returns false, and changes nothing, if the name exists. */
  create(issuer: TrustedIssuer): Promise<boolean>
  read(name: string): Promise<ListedIssuer | undefined>
  /** Sorted by name. */
  list(): Promise<ListedIssuer[]>
  /** An issuer stays while clients are bound to it. */
  delete(name: string): Promise<'deleted' | 'unknown' | { clients: string[] }>
  /** The issuers that may have made a token with these claims. Several clusters may use one `iss`, each with its own keys. */
  find(iss: string | undefined, sub: string): Promise<{ name: string; keys: AssertionKeys }[]>
}

const MAX_PATH_LENGTH = 1000
/** Milliseconds. Every replica sees a deleted issuer after this time. */
const CACHE_MAX_AGE = 5000

/** Whether an issuer may have this name. */
function isIssuerName(name: string): boolean {
  return /^[A-Za-z0-9._-]{1,64}$/.test(name)
}

/**
 * Checks the description of an issuer.
 *
 * @param plainHttp see {@link checkKeyUrl}
 * @throws Error that says what is wrong
 */
export function parseIssuer(given: IssuerDescription, plainHttp: boolean): TrustedIssuer {
  const { name, issuer, jwksUri, jwks, caFile, bearerFile } = given
  if (!isIssuerName(name)) throw new Error('name must be 1 to 64 letters, digits, dots, dashes and underscores')
  const isTrustDomain = isSpiffeId(`${issuer}/x`)
  if (!isTrustDomain && (!URL.canParse(issuer) || !/^[!-~]{1,1000}$/.test(issuer))) {
    throw new Error('issuer must be the URL that the tokens have as iss, or spiffe://TRUST-DOMAIN')
  }
  if (jwksUri !== undefined && jwks !== undefined) throw new Error('jwks and jwks_uri exclude each other: send one')
  if (jwksUri !== undefined) checkKeyUrl(jwksUri, 'jwks_uri', plainHttp)
  else if (jwks === undefined) {
    if (isTrustDomain) throw new Error('a SPIFFE trust domain has no discovery: send jwks_uri or jwks')
    checkKeyUrl(issuer, 'issuer', plainHttp)
  }
  for (const [file, path] of Object.entries({ ca_file: caFile, bearer_file: bearerFile })) {
    if (path === undefined) continue
    if (jwks !== undefined) throw new Error(`${file} is for fetching keys, and jwks has the keys: leave one out`)
    if (!path.startsWith('/') || path.includes('\0') || path.length > MAX_PATH_LENGTH) {
      throw new Error(`${file} must be an absolute path`)
    }
  }
  return { name, issuer, jwksUri, jwks: jwks === undefined ? undefined : serializeJwks(jwks), caFile, bearerFile }
}

/**
 * Reads trusted issuers from the database and caches them for 5 s. While the database is down, the cached issuers stay valid.
 *
 * @param keysOf prepares the keys of an issuer
 */
export function createTrustedIssuers(
  { db, now }: Database,
  keysOf: (issuer: TrustedIssuer) => AssertionKeys,
  clock: Clock = systemClock,
): TrustedIssuers {
  /** The keys of an issuer stay while its description stays the same. */
  let cached: { issuer: TrustedIssuer; text: string; keys: AssertionKeys }[] = []
  let readAt: Moment | undefined
  let inFlight: Promise<void> | undefined

  async function list(): Promise<ListedIssuer[]> {
    return (await db.selectFrom('trusted_issuers').selectAll().orderBy('name').execute()).map(toIssuer)
  }

  /** Reads all issuers, once for all concurrent requests. There is one for each cluster, so the list is short. */
  function reload(): Promise<void> {
    inFlight ??= loadNow().finally(() => {
      inFlight = undefined
    })
    return inFlight
  }

  async function loadNow(): Promise<void> {
    const asked = clock.now()
    const issuers = await list()
    cached = issuers.map((issuer) => {
      const text = JSON.stringify(issuer)
      return cached.find((before) => before.text === text) ?? { issuer, text, keys: keysOf(issuer) }
    })
    readAt = asked
  }

  function matching(iss: string | undefined, sub: string) {
    const trustDomain = isSpiffeId(sub) ? trustDomainOf(sub) : undefined
    return cached
      .filter(({ issuer: { issuer } }) => issuer === (iss ?? trustDomain) || issuer === trustDomain)
      .map(({ issuer: { name }, keys }) => ({ name, keys }))
  }

  return {
    async create({ name, issuer, jwksUri, jwks, caFile, bearerFile }) {
      const { numInsertedOrUpdatedRows } = await db
        .insertInto('trusted_issuers')
        .values({
          name,
          issuer,
          jwks_uri: jwksUri ?? null,
          jwks: jwks ?? null,
          ca_file: caFile ?? null,
          bearer_file: bearerFile ?? null,
          created_at: now,
        })
        .onConflict((conflict) => conflict.column('name').doNothing())
        .executeTakeFirst()
      readAt = undefined
      return (numInsertedOrUpdatedRows ?? 0n) > 0n
    },

    async read(name) {
      const row = await db.selectFrom('trusted_issuers').selectAll().where('name', '=', name).executeTakeFirst()
      return row && toIssuer(row)
    },

    list,

    async delete(name) {
      const bound = () => db.selectFrom('clients').select('id').where('issuer', '=', name)
      const { numDeletedRows } = await db
        .deleteFrom('trusted_issuers')
        .where('name', '=', name)
        .where(({ not, exists }) => not(exists(bound())))
        .executeTakeFirst()
      readAt = undefined
      if (numDeletedRows > 0n) return 'deleted'
      const clients = (await bound().orderBy('id').limit(10).execute()).map(({ id }) => id)
      return clients.length > 0 ? { clients } : 'unknown'
    },

    async find(iss, sub) {
      const isFresh = readAt !== undefined && clock.elapsedSince(readAt) < CACHE_MAX_AGE
      const known = matching(iss, sub)
      if (isFresh && known.length > 0) return known
      // Another process may have added the issuer. So an unknown one costs one query, as an unknown client id does.
      try {
        await reload()
      } catch (error) {
        if (known.length === 0) throw error
      }
      return matching(iss, sub)
    },
  }
}

function toIssuer(row: Selectable<TrustedIssuerRow>): ListedIssuer {
  return {
    name: row.name,
    issuer: row.issuer,
    jwksUri: row.jwks_uri ?? undefined,
    jwks: row.jwks ?? undefined,
    caFile: row.ca_file ?? undefined,
    bearerFile: row.bearer_file ?? undefined,
    createdAt: row.created_at,
  }
}
