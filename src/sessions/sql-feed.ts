import { randomBytes } from 'node:crypto'
import { inTransaction } from '../database/conflicts.js'
import type { Database } from '../database/database.js'
import { sql } from '../database/kysely.js'
import type { RevocationRow } from '../database/schema.js'
import { type FeedEntry, type FeedPage, type FeedStart, markOf } from './feed.js'

/** Entries that one statement deletes. */
const PRUNE_BATCH = 1000

/** Reads the feed. Triggers write it, in the transaction that ends a session (`revocation-feed.ts` of the database). */
export async function readSqlFeed({ db }: Database, from: FeedStart, limit: number): Promise<FeedPage> {
  const newest = db.selectFrom('revocation_feed').select('position')
  const first = from === 'newest' ? newest : from === 'oldest' ? 0 : Number(from.id.split('-')[1])
  // One statement, so that name, epoch and entries are of one moment. The limit is in the sub-select: otherwise Postgres would
  // sort the whole rest of the feed.
  const rows = await db
    .selectFrom('revocation_feed as feed')
    .leftJoin(
      db
        .selectFrom('revocations')
        .selectAll()
        .where('position', '>=', first)
        .orderBy('position')
        .limit(limit + 1)
        .as('entry'),
      (join) => join.onTrue(),
    )
    .select(['feed.name', 'feed.epoch'])
    .select(['entry.position', 'entry.ended_at', 'entry.sid', 'entry.client_id', 'entry.issued_until'])
    .orderBy('entry.position')
    .execute()
  const { name = '', epoch = 0 } = rows[0] ?? {}
  const entries = rows.flatMap((row) => (row.position === null ? [] : toEntry(row as RevocationRow)))
  return { name, epoch, entries: entries.slice(0, limit), hasMore: entries.length > limit }
}

function toEntry({
  position,
  ended_at,
  sid,
  client_id: clientId,
  issued_until: issuedUntil,
}: RevocationRow): FeedEntry {
  const id = `${ended_at}-${position}`
  if (sid !== null) return { id, mark: markOf(sid), revocation: { sids: [sid] } }
  if (clientId === null || issuedUntil === null) return { id, mark: '', revocation: undefined }
  return { id, mark: markOf(clientId), revocation: { clientId, issuedUntil } }
}

/**
 * Deletes entries that no access token needs any more. Another instance may issue tokens with a longer lifetime, or may have
 * done so until a moment ago: the largest need counts. The newest entry always stays, because followers continue from it.
 *
 * @param kept milliseconds for which the tokens of this process need an entry
 */
export async function pruneSqlFeed({ db, now }: Database, kept: number): Promise<void> {
  await db.deleteFrom('revocation_retention').where('needed_until', '<', now).execute()
  const row = { needed_until: sql<number>`${now} + ${sql.lit(kept)}` }
  await db
    .insertInto('revocation_retention')
    .values({ kept, ...row })
    .onConflict((conflict) => conflict.column('kept').doUpdateSet(row))
    .execute()
  for (;;) {
    const oldest = db.selectFrom('revocations').select(['position', 'ended_at']).orderBy('position').limit(PRUNE_BATCH)
    const last = await db
      .selectFrom(oldest.as('oldest'))
      .select(({ fn }) => [fn.max('position').as('position'), fn.countAll<number>().as('count')])
      .where('ended_at', '<', sql<number>`(SELECT ${now} - max(kept) FROM revocation_retention)`)
      .where('position', '<', db.selectFrom('revocation_feed').select('position'))
      .executeTakeFirstOrThrow()
    if (last.position === null) return
    await db.deleteFrom('revocations').where('position', '<=', last.position).execute()
    if (last.count < PRUNE_BATCH) return
  }
}

/** Begins a new history: the database has become the session store, and revocations of an earlier use are missing. */
export async function restartSqlFeed({ db, now }: Database): Promise<void> {
  const name = randomBytes(12).toString('base64url')
  await inTransaction(db, async (transaction) => {
    const { position } = await transaction
      .updateTable('revocation_feed')
      .set({ name, epoch: sql<number>`${now} / 1000`, position: sql<number>`position + 1` })
      .returning('position')
      .executeTakeFirstOrThrow()
    await transaction.deleteFrom('revocations').execute()
    await transaction
      .insertInto('revocations')
      .values({ position, ended_at: now, sid: null, client_id: null, issued_until: null })
      .execute()
  })
}
