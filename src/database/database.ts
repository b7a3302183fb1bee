import type { Kysely, RawBuilder } from 'kysely'
import type { Tables } from './schema.js'

export interface Database {
  readonly db: Kysely<Tables>
  /** Unix milliseconds on the database's own clock, as an SQL expression: replicas of the service share it. */
  readonly now: RawBuilder<number>
  /** What ends a `SELECT` whose rows are changed next, so that they are locked in its order. SQLite has one writer. */
  readonly forUpdate: RawBuilder<unknown>
  /** What makes a text compare, and sort, by code points, as an index of ours does: Postgres else goes by its locale. */
  readonly byCodePoint: RawBuilder<unknown>
  /** Throws {@link Unavailable} when the database does not answer. */
  ping(): Promise<void>
  close(): Promise<void>
}

/** Told of each query and each wait for a connection, in milliseconds. */
export interface DatabaseObserver {
  queried(milliseconds: number): void
  connected(milliseconds: number): void
  failed(): void
}

/**
 * Opens `sqlite:PATH` or `postgres://…` and brings its tables up to date. Any number of processes may do so at once.
 *
 * Whatever the database throws is an {@link Unavailable}: no query here can fail on its input.
 */
export async function openDatabase(
  url: string,
  onError: (error: Error) => void,
  times?: DatabaseObserver,
): Promise<Database> {
  // The other's driver is not loaded: that takes a twentieth of the start.
  const database = url.startsWith('sqlite:')
    ? (await import('./sqlite.js')).openSqlite(url.slice('sqlite:'.length), times)
    : (await import('./postgres.js')).openPostgres(url, onError, times)
  try {
    await database.migrate()
  } catch (error) {
    await database.close().catch(() => {})
    throw error
  }
  return database
}

/** A database whose tables are still to be brought up to date. */
export interface Opened extends Database {
  migrate(): Promise<void>
}
