import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { FIRST_PARTY_CLIENT_ID } from '@latchkey/verifier/access-token'
import { type Clock, type Moment, systemClock } from '@latchkey/verifier/clock'
import { type Selectable, sql } from 'kysely'
import type { Database } from '../database/database.js'
import type { ClientRow } from '../database/schema.js'
import {
  type ClientCredentials,
  namesClient,
  type PresentedCredentials,
  readClientCredentials,
} from './client-authentication.js'

/** Scopes that open endpoints of this service. Clients alone can have them, in tokens for this service alone. */
export const RESERVED_SCOPES: ReadonlySet<string> = new Set(['introspect', 'admin'])

/** Another service, or a gateway, that calls this one. */
export interface Client {
  id: string
  scopes: ReadonlySet<string>
  /** The audiences whose tokens it sees at introspection. Empty: all of them. */
  audiences: ReadonlySet<string>
}

export interface ClientPermissions {
  scopes: readonly string[]
  audiences: readonly string[]
}

/** What may be told of a client: its secrets are not among it. */
export interface ListedClient extends Client {
  /** Unix milliseconds. */
  createdAt: number
  /** Until when the secret before the last rotation is good, in Unix milliseconds; undefined where it is not, or is none. */
  previousSecretUntil: number | undefined
}

export interface Clients {
  /** The client that a caller has proved to be, or undefined (RFC 6749 §2.3.1). */
  authenticate(presented: PresentedCredentials): Promise<Client | undefined>
  /** The client of this id, or undefined. */
  find(id: string): Promise<Client | undefined>
  /** Makes a client if there is none of this id, and answers whether it did. One that is there keeps what it has. */
  create(credentials: ClientCredentials, grants: ClientPermissions): Promise<boolean>
  /**
   * Gives the client this secret. The one before is good for `overlap` milliseconds more; the one before that, no longer.
   * Answers until when that is, in Unix milliseconds; undefined where there is no such client.
   */
  rotateSecret(credentials: ClientCredentials, overlap: number): Promise<number | undefined>
  /** What may be told of one client, as it is now. */
  read(id: string): Promise<ListedClient | undefined>
  /** All of them, by id. There is one for each service, so there are few. */
  list(): Promise<ListedClient[]>
  /** Answers whether there was such a client. Revoke its tokens before, up to {@link latestPossibleIssuedAt}. */
  delete(id: string): Promise<boolean>
}

interface CachedClient {
  client: Client
  secretHash: Buffer
  /** The secret before, which is good for so many milliseconds from `readAt`. */
  previous: { hash: Buffer; goodFor: number } | undefined
  /** When the database was asked. */
  readAt: Moment
}

/** How old, in milliseconds, what is known of a client may be: by then a rotated secret or a deletion is seen. */
const MAX_AGE = 5000
/** What clocks of replicas may differ by, in seconds. */
const CLOCK_LEEWAY = 5

/** Clients are few, and each has one header, or two while its secret is rotated. */
const MAX_PROVEN = 1000

/** What an id may be. `latchkey` is the client of people who sign in by themselves. */
export function isClientId(id: string): boolean {
  return /^[A-Za-z0-9._-]{1,64}$/.test(id) && id !== FIRST_PARTY_CLIENT_ID
}

/**
 * The latest time of issue, in Unix seconds, that a token of a client can have which is deleted now: for a few seconds
 * replicas go on knowing it, and their clocks differ.
 */
export function latestPossibleIssuedAt(now: number): number {
  return Math.ceil((now + MAX_AGE) / 1000) + CLOCK_LEEWAY
}

/** 256 bits, URL-safe: nobody guesses it, and nothing on its way needs to escape it. */
export function generateClientSecret(): string {
  return randomBytes(32).toString('base64url')
}

/**
 * Clients are read from the database and remembered for five seconds, and for as long as the database is away:
 * introspection goes on without it.
 */
export function createClients({ db, now }: Database, clock: Clock = systemClock): Clients {
  const known = new Map<string, CachedClient>()
  const readings = new Map<string, Promise<CachedClient | undefined>>()
  /** When a client could not be read although it should have been, the last time. */
  const failedAt = new Map<string, Moment>()

  /** With what the clock of the database says: by that clock the secret before the last one ends. */
  const rows = () => db.selectFrom('clients').selectAll().select(now.as('now'))

  async function load(id: string): Promise<CachedClient | undefined> {
    const asked = clock.now()
    const row = await rows().where('id', '=', id).executeTakeFirst()
    // Only ids that exist are remembered, so a caller who makes ids up fills nothing.
    if (row) known.set(id, toKnown(row, asked))
    else known.delete(id)
    return known.get(id)
  }

  async function getCached(id: string, maxAge: number): Promise<CachedClient | undefined> {
    // Postgres refuses a NUL in a text, and no client has one in its id.
    if (id.includes('\0')) return undefined
    const remembered = known.get(id)
    if (!remembered) return load(id)
    if (clock.elapsedSince(remembered.readAt) < maxAge) return remembered
    const reading = refresh(id)
    // The database was away a moment ago: nobody else waits to hear that it still is.
    const failed = failedAt.get(id)
    return failed && clock.elapsedSince(failed) < MAX_AGE ? remembered : reading
  }

  /** What the database says, for all who ask meanwhile; or what is remembered, where it says nothing. */
  function refresh(id: string): Promise<CachedClient | undefined> {
    const before = readings.get(id)
    if (before) return before
    const reading = load(id)
      .then((found) => {
        failedAt.delete(id)
        return found
      })
      .catch(() => {
        failedAt.set(id, clock.now())
        return known.get(id)
      })
      .finally(() => readings.delete(id))
    readings.set(id, reading)
    return reading
  }

  function isSecretOf({ secretHash, previous, readAt }: CachedClient, hash: Buffer): boolean {
    return (
      timingSafeEqual(hash, secretHash) ||
      (previous !== undefined && timingSafeEqual(hash, previous.hash) && clock.elapsedSince(readAt) < previous.goodFor)
    )
  }

  async function authenticateOne(id: string, hash: Buffer): Promise<Client | undefined> {
    const remembered = await getCached(id, MAX_AGE)
    if (!remembered) return undefined
    if (isSecretOf(remembered, hash)) return remembered.client
    // Another process may have rotated it since: whoever was handed the new secret may use it at once. Guessing costs
    // a look-up, as it does with an id that does not exist.
    const found = await load(id).catch(() => known.get(id))
    return found && isSecretOf(found, hash) ? found.client : undefined
  }

  // What a header said that was right once, parsed and hashed: a service sends the same with every request. Whether it
  // is right still is asked each time. Saves 6 µs a request.
  const verifiedHeaders = new Map<string, { id: string; hash: Buffer }>()

  return {
    async authenticate(presented) {
      // A body that names a client too has to agree with the header: that is read in full.
      const header = namesClient(presented.body) ? undefined : presented.authorization
      const before = header === undefined ? undefined : verifiedHeaders.get(header)
      if (before) return authenticateOne(before.id, before.hash)
      for (const { id, secret } of readClientCredentials(presented)) {
        const hash = sha256(secret)
        const client = await authenticateOne(id, hash)
        if (!client) continue
        if (header !== undefined) {
          if (verifiedHeaders.size >= MAX_PROVEN) verifiedHeaders.clear()
          verifiedHeaders.set(header, { id, hash })
        }
        return client
      }
      return undefined
    },

    async find(id) {
      return (await getCached(id, MAX_AGE))?.client
    },

    async create({ id, secret }, { scopes, audiences }) {
      const { numInsertedOrUpdatedRows } = await db
        .insertInto('clients')
        .values({
          id,
          secret_hash: sha256(secret).toString('hex'),
          previous_secret_hash: null,
          previous_secret_until: null,
          scopes: scopes.join(' '),
          audiences: audiences.join(' '),
          created_at: now,
        })
        .onConflict((conflict) => conflict.column('id').doNothing())
        .executeTakeFirst()
      return (numInsertedOrUpdatedRows ?? 0n) > 0n
    },

    async rotateSecret({ id, secret }, overlap) {
      const rotated = await db
        .updateTable('clients')
        .set(({ ref }) => ({
          previous_secret_hash: ref('secret_hash'),
          previous_secret_until: sql<number>`${now} + ${sql.lit(overlap)}`,
          secret_hash: sha256(secret).toString('hex'),
        }))
        .where('id', '=', id)
        .returning('previous_secret_until')
        .executeTakeFirst()
      known.delete(id)
      return rotated?.previous_secret_until ?? undefined
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
      known.delete(id)
      return numDeletedRows > 0n
    },
  }
}

/** `now` is Unix milliseconds, on the clock of the database. */
type ReadRow = Selectable<ClientRow> & { now: number }

function toClient(row: Selectable<ClientRow>): Client {
  const words = (text: string) => new Set(text.split(' ').filter(Boolean))
  return { id: row.id, scopes: words(row.scopes), audiences: words(row.audiences) }
}

function toKnown(row: ReadRow, readAt: Moment): CachedClient {
  return {
    client: toClient(row),
    secretHash: Buffer.from(row.secret_hash, 'hex'),
    previous:
      row.previous_secret_hash === null
        ? undefined
        : {
            hash: Buffer.from(row.previous_secret_hash, 'hex'),
            goodFor: (row.previous_secret_until ?? 0) - row.now,
          },
    readAt,
  }
}

function toListed(row: ReadRow): ListedClient {
  const until = row.previous_secret_hash === null ? 0 : (row.previous_secret_until ?? 0)
  return { ...toClient(row), createdAt: row.created_at, previousSecretUntil: row.now < until ? until : undefined }
}

/** Client secrets are generated, with 256 bits: nobody guesses them, so they need no slow hash. */
function sha256(secret: string): Buffer {
  return createHash('sha256').update(secret, 'utf8').digest()
}
