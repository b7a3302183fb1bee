import { randomBytes } from 'node:crypto'
import { type Kysely, PostgresAdapter, sql } from './kysely.js'

/**
 * Creates the tables of the feed, and triggers that write it. A trigger runs in the transaction that ends a session. So no
 * code can end a session without an entry, not even an instance of an older version during a rolling update.
 *
 * The order of positions is the order of commits. A writer locks the row of the feed until its commit, and takes the next
 * position under that lock. A sequence does not give this order: number 7 could be committed before number 6.
 */
export async function createRevocationFeed(db: Kysely<unknown>): Promise<void> {
  const isPostgres = db.getExecutor().adapter instanceof PostgresAdapter
  await sql`
    CREATE TABLE revocation_feed (
      one bigint PRIMARY KEY,
      name text NOT NULL,
      epoch bigint NOT NULL,
      position bigint NOT NULL
    )`.execute(db)
  // In SQLite only a column of the type `integer` is the key of the table itself.
  await sql`
    CREATE TABLE revocations (
      position ${isPostgres ? sql`bigint` : sql`integer`} PRIMARY KEY,
      ended_at bigint NOT NULL,
      sid text,
      client_id text,
      issued_until bigint
    )`.execute(db)
  await sql`
    CREATE TABLE revocation_retention (
      kept bigint PRIMARY KEY,
      needed_until bigint NOT NULL
    )`.execute(db)
  await (isPostgres ? createPostgresTriggers(db) : createSqliteTriggers(db))

  // After the triggers. Postgres has locked both tables by now, so no session ends between the epoch and the first entry.
  const now = isPostgres ? POSTGRES_NOW : SQLITE_NOW
  const name = randomBytes(12).toString('base64url')
  await sql`INSERT INTO revocation_feed VALUES (1, ${name}, ${now} / 1000, 0)`.execute(db)
  await sql`INSERT INTO revocations (position, ended_at) VALUES (0, ${now})`.execute(db)
}

// Operators delete sessions with their own `sqlite3`, and the triggers run in there too. Versions before 3.42 do not know
// `unixepoch('subsec')`: the time would be NULL, and the entry would be missing.
const SQLITE_NOW = sql`CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)`
const POSTGRES_NOW = sql`(extract(epoch FROM clock_timestamp()) * 1000)::bigint`

async function createSqliteTriggers(db: Kysely<unknown>): Promise<void> {
  await sql`
    CREATE TRIGGER revoked_session AFTER DELETE ON sessions WHEN OLD.expires_at > ${SQLITE_NOW} BEGIN
      UPDATE revocation_feed SET position = position + 1;
      INSERT INTO revocations (position, ended_at, sid) SELECT position, ${SQLITE_NOW}, OLD.sid FROM revocation_feed;
    END`.execute(db)
  for (const [name, event] of [
    ['revoked_client', sql`INSERT`],
    ['revoked_client_again', sql`UPDATE OF not_before`],
  ] as const) {
    await sql`
      CREATE TRIGGER ${sql.raw(name)} AFTER ${event} ON client_revocations WHEN NEW.client_id <> '*' BEGIN
        UPDATE revocation_feed SET position = position + 1;
        INSERT INTO revocations (position, ended_at, client_id, issued_until)
          SELECT position, ${SQLITE_NOW}, NEW.client_id, NEW.not_before FROM revocation_feed;
      END`.execute(db)
  }
}

/** Replaces the triggers of databases that have older ones. */
export async function replaceSqliteTriggers(db: Kysely<unknown>): Promise<void> {
  if (db.getExecutor().adapter instanceof PostgresAdapter) return
  for (const name of ['revoked_session', 'revoked_client', 'revoked_client_again']) {
    await sql`DROP TRIGGER ${sql.raw(name)}`.execute(db)
  }
  await createSqliteTriggers(db)
}

async function createPostgresTriggers(db: Kysely<unknown>): Promise<void> {
  // One entry for each session, and one turn for each statement. A sweep of expired sessions takes no turn.
  await sql`
    CREATE FUNCTION latchkey_revoked_sessions() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
      sids text[];
      last bigint;
    BEGIN
      SELECT array_agg(sid ORDER BY sid) INTO sids FROM ended WHERE expires_at > ${POSTGRES_NOW};
      IF sids IS NULL THEN RETURN NULL; END IF;
      UPDATE revocation_feed SET position = position + cardinality(sids) RETURNING position INTO last;
      INSERT INTO revocations (position, ended_at, sid)
        SELECT last - cardinality(sids) + each.number, ${POSTGRES_NOW}, each.sid
        FROM unnest(sids) WITH ORDINALITY AS each (sid, number);
      RETURN NULL;
    END $$`.execute(db)
  await sql`
    CREATE TRIGGER latchkey_revoked_sessions AFTER DELETE ON sessions REFERENCING OLD TABLE AS ended
    FOR EACH STATEMENT EXECUTE FUNCTION latchkey_revoked_sessions()`.execute(db)
  await sql`
    CREATE FUNCTION latchkey_revoked_client() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
      next bigint;
    BEGIN
      UPDATE revocation_feed SET position = position + 1 RETURNING position INTO next;
      INSERT INTO revocations (position, ended_at, client_id, issued_until)
        VALUES (next, ${POSTGRES_NOW}, NEW.client_id, NEW.not_before);
      RETURN NULL;
    END $$`.execute(db)
  await sql`
    CREATE TRIGGER latchkey_revoked_client AFTER INSERT OR UPDATE OF not_before ON client_revocations
    FOR EACH ROW WHEN (NEW.client_id <> '*') EXECUTE FUNCTION latchkey_revoked_client()`.execute(db)
}
