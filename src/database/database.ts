import type { Kysely, RawBuilder } from './kysely.js'
import type { Tables } from './schema.js'

export interface Database {
  readonly db: Kysely<Tables>
  /** An SQL expression for Unix milliseconds on the database's own clock, which all replicas of the service share. */
  readonly now: RawBuilder<number>
  /**
   * The same clock when the statement began. All values of a row agree on it. Postgres reads `now` again at each use, also after
   * a wait for a lock.
   */
  readonly statementTime: RawBuilder<number>
  /** The end of a `SELECT` that locks its rows, in its order, for a change. Empty on SQLite, which has one writer. */
  readonly forUpdate: RawBuilder<unknown>
  /** Follows a text that must compare and sort by code points, like our indexes. Postgres otherwise uses its locale. */
  readonly byCodePoint: RawBuilder<unknown>
  /** @throws {Unavailable} when the database does not answer */
  ping(): Promise<void>
  close(): Promise<void>
}

/** Receives the duration of each query and of each wait for a connection, and each failure. */
export interface DatabaseObserver {
  onQuery(milliseconds: number): void
  onConnection(milliseconds: number): void
  onFailure(): void
}

/** An open database whose tables may be out of date. */
export interface MigratableDatabase extends Database {
  migrate(): Promise<void>
}

/** The address of a database whose credentials may change. */
export interface FollowedUrl {
  current(): string
  /** Brings {@link current} up to date. Undefined: the address never changes. */
  read?(): Promise<void>
}
