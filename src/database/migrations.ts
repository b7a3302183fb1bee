import { type Kysely, type Migration, PostgresAdapter, sql } from './kysely.js'
import { createRevocationFeed, replaceSqliteTriggers } from './revocation-feed.js'

/**
 * Migrations go forward only. Their names give the order, and a released migration is never edited. During a rolling update an
 * older process runs on the newer tables. So a new column has a default or may be null, and a dropped or renamed column has
 * been unused since the previous release.
 */
export const migrations: Record<string, Migration> = {
  '0001-accounts-clients-sessions': {
    async up(db: Kysely<unknown>) {
      await sql`
        CREATE TABLE users (
          id text PRIMARY KEY,
          username text NOT NULL,
          username_key text NOT NULL UNIQUE,
          password_hash text NOT NULL,
          password_version bigint NOT NULL,
          roles text NOT NULL,
          disabled_at bigint,
          created_at bigint NOT NULL
        )`.execute(db)
      await sql`
        CREATE TABLE clients (
          id text PRIMARY KEY,
          secret_hash text NOT NULL,
          previous_secret_hash text,
          previous_secret_until bigint,
          scopes text NOT NULL,
          audiences text NOT NULL,
          created_at bigint NOT NULL
        )`.execute(db)
      await sql`
        CREATE TABLE sessions (
          sid text PRIMARY KEY,
          sub text NOT NULL,
          username text NOT NULL,
          client_id text NOT NULL,
          scope text NOT NULL,
          audience text NOT NULL,
          roles text NOT NULL,
          generation bigint NOT NULL,
          rotated_at bigint NOT NULL,
          device_name text,
          ip text NOT NULL,
          user_agent text,
          created_at bigint NOT NULL,
          last_seen_at bigint NOT NULL,
          expires_at bigint NOT NULL,
          ends_at bigint
        )`.execute(db)
      await sql`
        CREATE TABLE client_revocations (
          client_id text PRIMARY KEY,
          not_before bigint NOT NULL,
          expires_at bigint NOT NULL
        )`.execute(db)
      await sql`CREATE INDEX sessions_sub ON sessions (sub)`.execute(db)
      await sql`CREATE INDEX sessions_expires_at ON sessions (expires_at)`.execute(db)
    },
  },
  // Pages of accounts in the order of their names: all accounts, those with a common prefix, and the few disabled ones.
  '0002-lists-of-accounts': {
    async up(db: Kysely<unknown>) {
      const isPostgres = db.getExecutor().adapter instanceof PostgresAdapter
      const byCodePoint = isPostgres ? sql`COLLATE "C"` : sql``
      // SQLite compares by code points, so it can use the unique index of the names.
      if (isPostgres) await sql`CREATE INDEX users_by_name ON users (username_key ${byCodePoint})`.execute(db)
      await sql`
        CREATE INDEX users_disabled ON users (username_key ${byCodePoint}) WHERE disabled_at IS NOT NULL`.execute(db)
    },
  },
  // No two accounts may have names that look alike. An ASCII name is its own skeleton. Other existing names get none.
  '0003-skeletons-of-user-names': {
    async up(db: Kysely<unknown>) {
      const isPostgres = db.getExecutor().adapter instanceof PostgresAdapter
      const bytes = isPostgres ? sql`octet_length(username_key)` : sql`length(CAST(username_key AS blob))`
      await sql`ALTER TABLE users ADD COLUMN username_skeleton text`.execute(db)
      await sql`UPDATE users SET username_skeleton = username_key WHERE ${bytes} = length(username_key)`.execute(db)
      await sql`CREATE UNIQUE INDEX users_by_skeleton ON users (username_skeleton)`.execute(db)
    },
  },
  '0004-session-store': {
    async up(db: Kysely<unknown>) {
      await sql`
        CREATE TABLE session_store (
          one bigint PRIMARY KEY,
          id text NOT NULL,
          kind text NOT NULL,
          address text NOT NULL,
          ready bigint NOT NULL,
          question text NOT NULL
        )`.execute(db)
    },
  },
  '0005-revocation-feed': {
    up: (db: Kysely<unknown>) => createRevocationFeed(db),
  },
  // Clients that authenticate with keys of their own, or with a token of a trusted issuer.
  '0006-workloads': {
    async up(db: Kysely<unknown>) {
      for (const column of ['jwks', 'jwks_uri', 'issuer', 'subject']) {
        await sql`ALTER TABLE clients ADD COLUMN ${sql.ref(column)} text`.execute(db)
      }
      // A token authenticates one client.
      await sql`CREATE UNIQUE INDEX clients_by_subject ON clients (issuer, subject)`.execute(db)
      await sql`
        CREATE TABLE trusted_issuers (
          name text PRIMARY KEY,
          issuer text NOT NULL,
          jwks_uri text,
          jwks text,
          ca_file text,
          bearer_file text,
          created_at bigint NOT NULL
        )`.execute(db)
      await sql`CREATE TABLE single_uses (id text PRIMARY KEY, expires_at bigint NOT NULL)`.execute(db)
      await sql`CREATE INDEX single_uses_by_expiry ON single_uses (expires_at)`.execute(db)
    },
  },
  '0007-exchange-audiences': {
    async up(db: Kysely<unknown>) {
      await sql`ALTER TABLE clients ADD COLUMN exchange_audiences text NOT NULL DEFAULT ''`.execute(db)
    },
  },
  // Second factors. An older process writes neither of the new columns, and its sessions are sign-ins with a password.
  '0008-factors': {
    async up(db: Kysely<unknown>) {
      await sql`ALTER TABLE sessions ADD COLUMN authenticated_at bigint`.execute(db)
      await sql`ALTER TABLE sessions ADD COLUMN amr text`.execute(db)
      await sql`ALTER TABLE users ADD COLUMN factors bigint NOT NULL DEFAULT 0`.execute(db)
      await sql`ALTER TABLE users ADD COLUMN factors_version bigint NOT NULL DEFAULT 0`.execute(db)
      await sql`ALTER TABLE users ADD COLUMN mfa_required bigint NOT NULL DEFAULT 0`.execute(db)
      await sql`
        CREATE TABLE factors (
          id text PRIMARY KEY,
          sub text NOT NULL,
          type text NOT NULL,
          name text,
          secret text NOT NULL,
          credential_id text UNIQUE,
          counter bigint NOT NULL,
          details text,
          created_at bigint NOT NULL,
          confirmed_at bigint,
          last_used_at bigint
        )`.execute(db)
      await sql`CREATE INDEX factors_sub ON factors (sub)`.execute(db)
      await sql`
        CREATE TABLE recovery_codes (
          sub text NOT NULL,
          hash text NOT NULL,
          PRIMARY KEY (sub, hash)
        )`.execute(db)
      await sql`
        CREATE TABLE used_tickets (
          id text PRIMARY KEY,
          expires_at bigint NOT NULL
        )`.execute(db)
      await sql`CREATE INDEX used_tickets_expires_at ON used_tickets (expires_at)`.execute(db)
    },
  },
  '0009-claims-of-accounts': {
    async up(db: Kysely<unknown>) {
      await sql`ALTER TABLE users ADD COLUMN claims text`.execute(db)
    },
  },
  '0010-clock-of-triggers': {
    up: (db: Kysely<unknown>) => replaceSqliteTriggers(db),
  },
}
