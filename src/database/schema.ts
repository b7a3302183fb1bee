/**
 * The tables. Times are Unix milliseconds. Columns are text and bigint alone, which SQLite and Postgres hold alike;
 * never bind a boolean: libsql 0.5 aborts the process on one.
 */
export interface Tables {
  users: UserRow
  clients: ClientRow
  sessions: SessionRow
  client_revocations: ClientRevocationRow
  session_store: SessionStoreRow
}

export interface UserRow {
  id: string
  username: string
  /** What two spellings of one name share: unique. */
  username_key: string
  /** What two names share that look alike: unique. Null in an account of a version that did not have it. */
  username_skeleton: string | null
  /** PHC string. */
  password_hash: string
  /** Counts the changes of the password. A rehash is none. */
  password_version: number
  /** JSON array of strings. */
  roles: string
  disabled_at: number | null
  created_at: number
}

export interface ClientRow {
  id: string
  /** SHA-256, hex. */
  secret_hash: string
  /** The secret before, which is good until `previous_secret_until`: services change theirs one by one. */
  previous_secret_hash: string | null
  previous_secret_until: number | null
  /** Space-separated. */
  scopes: string
  /** Space-separated: what it sees at introspection. Empty: every audience. */
  audiences: string
  created_at: number
}

/** Sessions live here only where there is no Redis. */
export interface SessionRow {
  sid: string
  sub: string
  username: string
  client_id: string
  scope: string
  audience: string
  /** JSON array of strings. */
  roles: string
  generation: number
  rotated_at: number
  device_name: string | null
  ip: string
  user_agent: string | null
  created_at: number
  last_seen_at: number
  expires_at: number
  /** When it ends however much it is used; null: never. */
  ends_at: number | null
}

/** The tokens that a client got for itself have no session: these rows end them. */
export interface ClientRevocationRow {
  client_id: string
  /** Unix seconds: tokens issued at or before it have ended. */
  not_before: number
  /** When the last of those tokens has expired anyway, however long it lived. */
  expires_at: number
}

/** One row: which store the sessions are in. */
export interface SessionStoreRow {
  /** Always 1. */
  one: number
  /** Random. Each store that comes into use gets a new id, also one that was in use before. */
  id: string
  kind: 'database' | 'redis'
  /** Where Redis is, for people: without credentials. */
  address: string
  /** 0: the process that registered the store is still emptying it. */
  ready: number
  /** A starting process with another store writes a random text; a running instance clears it. */
  question: string
}
