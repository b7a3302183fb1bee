import type { Moment } from '@latchkey/verifier/clock'
import type { Database } from '../database/database.js'
import type { Selectable } from '../database/kysely.js'
import type { ClientRow } from '../database/schema.js'
import { parseScope } from '../scope.js'
import { type ClientProof, NO_SECRET_HASH, proofOf } from './client-proof.js'

/** Another service or a gateway that calls this service (RFC 6749 §1.1). */
export interface Client extends ClientProof {
  id: string
  scopes: ReadonlySet<string>
  /** The client may introspect tokens of these audiences. An empty set means all audiences. */
  audiences: ReadonlySet<string>
  /** The client may exchange a person's token for one of these audiences (RFC 8693). An empty set means that it may not. */
  exchangeAudiences: ReadonlySet<string>
}

export interface ClientPermissions {
  scopes: readonly string[]
  audiences: readonly string[]
  /** None, unless given. */
  exchangeAudiences?: readonly string[]
}

/** A client as lists show it, without its secrets. */
export interface ListedClient extends Client {
  /** Unix milliseconds. */
  createdAt: number
  /** The previous secret is valid until this time, in Unix milliseconds. Undefined if no previous secret is valid. */
  previousSecretUntil: number | undefined
  hasSecret: boolean
}

/** A client in the cache, with its secrets. */
export interface CachedClient {
  client: Client
  secretHash: Buffer
  /** The previous secret, which is valid for `validFor` milliseconds after `readAt`. */
  previous: { hash: Buffer; validFor: number } | undefined
  /** The time at which the query was sent. */
  readAt: Moment
}

/** `now` is Unix milliseconds on the clock of the database. */
export type ReadRow = Selectable<ClientRow> & { now: number }

function toClient(row: Selectable<ClientRow>): Client {
  return {
    id: row.id,
    scopes: new Set(parseScope(row.scopes)),
    audiences: new Set(parseScope(row.audiences)),
    exchangeAudiences: new Set(parseScope(row.exchange_audiences)),
    ...proofOf(row),
  }
}

/** Changes what is given, and keeps the rest. Returns false if the client does not exist. */
export async function changePermissions(
  { db }: Pick<Database, 'db'>,
  id: string,
  { scopes, audiences, exchangeAudiences }: Partial<ClientPermissions>,
): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('clients')
    .set({
      // An update sets at least one column.
      id,
      ...(scopes && { scopes: scopes.join(' ') }),
      ...(audiences && { audiences: audiences.join(' ') }),
      ...(exchangeAudiences && { exchange_audiences: exchangeAudiences.join(' ') }),
    })
    .where('id', '=', id)
    .executeTakeFirst()
  return numUpdatedRows > 0n
}

/** @param readAt the time at which the query was sent */
export function toCachedClient(row: ReadRow, readAt: Moment): CachedClient {
  return {
    client: toClient(row),
    secretHash: Buffer.from(row.secret_hash, 'hex'),
    previous:
      row.previous_secret_hash === null
        ? undefined
        : {
            hash: Buffer.from(row.previous_secret_hash, 'hex'),
            validFor: (row.previous_secret_until ?? 0) - row.now,
          },
    readAt,
  }
}

export function toListed(row: ReadRow): ListedClient {
  const until = row.previous_secret_hash === null ? 0 : (row.previous_secret_until ?? 0)
  const previousSecretUntil = row.now < until ? until : undefined
  return {
    ...toClient(row),
    createdAt: row.created_at,
    previousSecretUntil,
    hasSecret: row.secret_hash !== NO_SECRET_HASH,
  }
}
