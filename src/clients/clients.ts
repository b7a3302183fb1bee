import { createHash, timingSafeEqual } from 'node:crypto'
import type { Database } from '../database/database.js'

/** Another service, or a gateway, that calls this one. */
export interface Client {
  id: string
  scopes: ReadonlySet<string>
}

export interface ClientCredentials {
  id: string
  secret: string
}

export interface Clients {
  /** The client whose credentials these are, or undefined. */
  authenticate(credentials: ClientCredentials): Promise<Client | undefined>
  /** Makes the client if there is none of this id. One that is there keeps its secret and scopes. */
  ensure(credentials: ClientCredentials, scopes: readonly string[]): Promise<void>
}

interface Known extends Client {
  secretHash: Buffer
  /** Unix milliseconds, of this process. */
  readAt: number
}

/** How old, in milliseconds, what is known of a client may be: by then a rotated secret or a deletion is seen. */
const MAX_AGE = 5000

/**
 * Clients are read from the database and remembered for five seconds, and for as long as the database is away:
 * introspection goes on without it.
 */
export function createClients({ db, now }: Database, clock: () => number = Date.now): Clients {
  const known = new Map<string, Known>()

  async function load(id: string): Promise<Known | undefined> {
    const row = await db.selectFrom('clients').selectAll().where('id', '=', id).executeTakeFirst()
    if (!row) {
      known.delete(id)
      return undefined
    }
    const client: Known = {
      id: row.id,
      scopes: new Set(row.scopes.split(' ')),
      secretHash: Buffer.from(row.secret_hash, 'hex'),
      readAt: clock(),
    }
    // Only ids that exist are remembered, so a caller who makes ids up fills nothing.
    known.set(id, client)
    return client
  }

  async function find(id: string): Promise<Known | undefined> {
    const remembered = known.get(id)
    if (!remembered) return load(id)
    if (clock() - remembered.readAt < MAX_AGE) return remembered
    try {
      return await load(id)
    } catch {
      return remembered
    }
  }

  return {
    async authenticate({ id, secret }) {
      const client = id.includes('\0') ? undefined : await find(id)
      const hash = sha256(secret)
      return client && timingSafeEqual(hash, client.secretHash) ? client : undefined
    },

    async ensure({ id, secret }, scopes) {
      await db
        .insertInto('clients')
        .values({ id, secret_hash: sha256(secret).toString('hex'), scopes: scopes.join(' '), created_at: now })
        .onConflict((conflict) => conflict.column('id').doNothing())
        .execute()
    },
  }
}

/** Client secrets are generated, with 256 bits: nobody guesses them, so they need no slow hash. */
function sha256(secret: string): Buffer {
  return createHash('sha256').update(secret, 'utf8').digest()
}
