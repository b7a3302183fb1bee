import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { CLOCK_LEEWAY, FIRST_PARTY_CLIENT_ID } from '@latchkey/verifier/access-token'
import { type Clock, systemClock } from '@latchkey/verifier/clock'
import type { Database } from '../database/database.js'
import { sql } from '../database/kysely.js'
import {
  type ClientCredentials,
  namesClient,
  type PresentedCredentials,
  readClientCredentials,
} from './client-authentication.js'
import { createClientCache } from './client-cache.js'
import {
  type ClientProof,
  changeProof,
  findBindingFault,
  findBoundId,
  NO_SECRET_HASH,
  type ProofChange,
  type ProofOutcome,
  proofColumns,
  type SubjectBinding,
} from './client-proof.js'
import {
  type CachedClient,
  type Client,
  type ClientPermissions,
  changePermissions,
  type ListedClient,
  toListed,
} from './client-row.js'

export type { Client, ClientPermissions, ListedClient } from './client-row.js'

/** A new client. Without a secret it has another proof. */
export interface NewClient extends Partial<ClientProof> {
  id: string
  secret?: string
}

export interface Clients {
  /**
   * The client of an `Authorization` header that was valid before, if the client is in the cache and the secret is still valid.
   * Undefined says nothing: ask {@link Clients.authenticate}. It takes no promise, which saves an introspection 1 µs.
   */
  authenticateCached(presented: PresentedCredentials): Client | undefined
  /** The client whose valid id and secret the request has, or undefined (RFC 6749 §2.3.1). */
  authenticate(presented: PresentedCredentials): Promise<Client | undefined>
  /** The client of this id, or undefined. */
  find(id: string): Promise<Client | undefined>
  /** The same, but read from the database. */
  reload(id: string): Promise<Client | undefined>
  /** The client that is bound to this subject of a trusted issuer, or undefined. */
  findBound(binding: SubjectBinding): Promise<Client | undefined>
  /** Creates a client. Returns false, and changes nothing, if the id or the subject is taken. */
  create(client: NewClient, permissions: ClientPermissions): Promise<boolean>
  /**
   * Gives the client a new secret. The current secret stays valid for `overlap` milliseconds. A secret from before that becomes
   * invalid at once. Returns the end of the overlap in Unix milliseconds, 0 if the client had no secret, or undefined if the
   * client does not exist.
   */
  rotateSecret(credentials: ClientCredentials, overlap: number): Promise<number | undefined>
  /** Why the client cannot have this binding, or undefined. */
  findBindingFault(id: string, binding: SubjectBinding): Promise<'unknown_issuer' | 'subject_taken' | undefined>
  /** Changes what is given, and keeps the rest. Returns false if the client does not exist. */
  changePermissions(id: string, changes: Partial<ClientPermissions>): Promise<boolean>
  /** Changes how the client authenticates. */
  changeProof(id: string, change: ProofChange): Promise<ProofOutcome>
  /** Reads one client from the database, and not from the cache. */
  read(id: string): Promise<ListedClient | undefined>
  /** All clients, sorted by id. A deployment has one client for each service, so the list is short. */
  list(): Promise<ListedClient[]>
  /** Returns false if the client does not exist. Revoke its tokens first, up to {@link latestPossibleIssuedAt}. */
  delete(id: string): Promise<boolean>
}

/** Milliseconds. Every replica sees a rotated secret or a deleted client after this time. */
const CACHE_MAX_AGE = 5000

/** Entries. Clients are few, and each sends one header, or two while its secret is rotated. */
const MAX_VERIFIED_HEADERS = 1000

/** Whether a client may have this id. {@link FIRST_PARTY_CLIENT_ID} is reserved. */
export function isClientId(id: string): boolean {
  return /^[A-Za-z0-9._-]{1,64}$/.test(id) && id !== FIRST_PARTY_CLIENT_ID
}

/**
 * The latest `iat`, in Unix seconds, that a token of a client deleted at `now` (Unix milliseconds) can carry. Replicas cache
 * the client for up to 5 s, and the clocks of replicas may differ by {@link CLOCK_LEEWAY}.
 */
export function latestPossibleIssuedAt(now: number): number {
  return Math.ceil((now + CACHE_MAX_AGE) / 1000) + CLOCK_LEEWAY
}

/** A random secret of 256 bits. Base64url needs no escaping in URLs, forms and headers. */
export function generateClientSecret(): string {
  return randomBytes(32).toString('base64url')
}

/**
 * Reads clients from the database and caches them for 5 s. While the database is down, cached clients stay valid, so that
 * introspection continues.
 */
export function createClients({ db, now }: Database, clock: Clock = systemClock): Clients {
  /** Selects the time of the database too: the previous secret expires by that clock. */
  const rows = () => db.selectFrom('clients').selectAll().select(now.as('now'))
  const cache = createClientCache((id) => rows().where('id', '=', id).executeTakeFirst(), CACHE_MAX_AGE, clock)

  function isSecretOf({ secretHash, previous, readAt }: CachedClient, hash: Buffer): boolean {
    return (
      timingSafeEqual(hash, secretHash) ||
      (previous !== undefined && timingSafeEqual(hash, previous.hash) && clock.elapsedSince(readAt) < previous.validFor)
    )
  }

  async function authenticateOne(id: string, hash: Buffer): Promise<Client | undefined> {
    const cached = await cache.find(id)
    if (!cached) return undefined
    if (isSecretOf(cached, hash)) return cached.client
    // Another process may have rotated the secret, and the new secret must work at once. So a wrong secret costs one query,
    // as an unknown id does.
    const found = await cache.load(id).catch(() => cache.get(id))
    return found && isSecretOf(found, hash) ? found.client : undefined
  }

  // The parsed and hashed credentials of headers that were valid once, because a service sends the same header with every
  // request. The secret is compared with the current one each time. This saves 6 µs a request.
  const verifiedHeaders = new Map<string, { id: string; hash: Buffer }>()

  /** The ids of clients that were found by their binding. */
  const boundIds = new Map<string, string>()

  async function findBound(binding: SubjectBinding): Promise<Client | undefined> {
    const key = JSON.stringify([binding.issuer, binding.subject])
    const known = boundIds.get(key)
    const cached = known === undefined ? undefined : await cache.find(known)
    if (cached && isBoundTo(cached.client, binding)) return cached.client
    boundIds.delete(key)
    const id = await findBoundId({ db }, binding)
    const found = id === undefined ? undefined : await cache.load(id)
    if (!found || !isBoundTo(found.client, binding)) return undefined
    boundIds.set(key, found.client.id)
    return found.client
  }
  /** The header, unless the body names a client too. Then body and header must agree, so both are parsed in full. */
  const headerAlone = ({ authorization, body }: PresentedCredentials) => (namesClient(body) ? undefined : authorization)

  return {
    authenticateCached(presented) {
      const before = verifiedHeaders.get(headerAlone(presented) ?? '')
      const cached = before && cache.get(before.id)
      if (!cached || clock.elapsedSince(cached.readAt) >= CACHE_MAX_AGE) return undefined
      return isSecretOf(cached, before.hash) ? cached.client : undefined
    },

    async authenticate(presented) {
      const header = headerAlone(presented)
      const before = header === undefined ? undefined : verifiedHeaders.get(header)
      if (before) return authenticateOne(before.id, before.hash)
      for (const { id, secret } of readClientCredentials(presented)) {
        const hash = sha256(secret)
        const client = await authenticateOne(id, hash)
        if (!client) continue
        if (header !== undefined) {
          if (verifiedHeaders.size >= MAX_VERIFIED_HEADERS) verifiedHeaders.clear()
          verifiedHeaders.set(header, { id, hash })
        }
        return client
      }
      return undefined
    },

    async find(id) {
      return (await cache.find(id))?.client
    },

    reload: async (id) => (await cache.load(id))?.client,

    findBound,

    async create({ id, secret, ...proof }, permissions) {
      const { numInsertedOrUpdatedRows } = await db
        .insertInto('clients')
        .values({
          id,
          ...proofColumns(proof),
          secret_hash: secret === undefined ? NO_SECRET_HASH : sha256(secret).toString('hex'),
          previous_secret_hash: null,
          previous_secret_until: null,
          scopes: permissions.scopes.join(' '),
          audiences: permissions.audiences.join(' '),
          exchange_audiences: (permissions.exchangeAudiences ?? []).join(' '),
          created_at: now,
        })
        .onConflict((conflict) => conflict.doNothing())
        .executeTakeFirst()
      return (numInsertedOrUpdatedRows ?? 0n) > 0n
    },

    async rotateSecret({ id, secret }, overlap) {
      const rotated = await db
        .updateTable('clients')
        .set(({ ref }) => ({
          previous_secret_hash: sql<string | null>`NULLIF(${ref('secret_hash')}, ${NO_SECRET_HASH})`,
          previous_secret_until: sql<number>`${now} + ${sql.lit(overlap)}`,
          secret_hash: sha256(secret).toString('hex'),
        }))
        .where('id', '=', id)
        .returning(['previous_secret_hash', 'previous_secret_until'])
        .executeTakeFirst()
      cache.delete(id)
      if (!rotated) return undefined
      return rotated.previous_secret_hash === null ? 0 : (rotated.previous_secret_until ?? 0)
    },

    findBindingFault: (id, binding) => findBindingFault({ db }, id, binding),

    changePermissions: (id, changes) => changePermissions({ db }, id, changes).finally(() => cache.delete(id)),

    async changeProof(id, change) {
      const outcome = await changeProof({ db }, id, change)
      cache.delete(id)
      return outcome
    },

    async read(id) {
      const row = await rows().where('id', '=', id).executeTakeFirst()
      return row && toListed(row)
    },

    async list() {
      return (await rows().orderBy('id').execute()).map(toListed)
    },

    async delete(id) {
      const { numDeletedRows } = await db.deleteFrom('clients').where('id', '=', id).executeTakeFirst()
      cache.delete(id)
      return numDeletedRows > 0n
    },
  }
}

function isBoundTo({ binding }: Client, { issuer, subject }: SubjectBinding): boolean {
  return binding?.issuer === issuer && binding.subject === subject
}

/** A client secret has 256 random bits, so nobody can guess it and a fast hash is enough. */
function sha256(secret: string): Buffer {
  return createHash('sha256').update(secret, 'utf8').digest()
}
