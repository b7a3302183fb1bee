/**
 * The tables. Times are Unix milliseconds. Columns are only text and bigint, which SQLite and Postgres store in the same way.
 * Never bind a boolean: libsql 0.5 aborts the process on one.
 */
export interface Tables {
  users: UserRow
  clients: ClientRow
  sessions: SessionRow
  client_revocations: ClientRevocationRow
  session_store: SessionStoreRow
  revocation_feed: RevocationFeedRow
  revocations: RevocationRow
  revocation_retention: RevocationRetentionRow
}

export interface UserRow {
  id: string
  username: string
  /** The key that all spellings of one name share. Unique. */
  username_key: string
  /** The key that all names which look alike share. Unique. Null in older accounts whose name is not ASCII. */
  username_skeleton: string | null
  /** PHC string. */
  password_hash: string
  /** Counts the changes of the password. A rehash does not count. */
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
  /** The previous secret, valid until `previous_secret_until`, so that services can change theirs one by one. */
  previous_secret_hash: string | null
  previous_secret_until: number | null
  /** Space-separated. */
  scopes: string
  /** Space-separated. The audiences whose tokens the client sees at introspection. Empty: every audience. */
  audiences: string
  /** Space-separated. The audiences for which the client may exchange a person's token. Empty: none. */
  exchange_audiences: string
  created_at: number
}

/** Used only without Redis. */
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
  /** The latest end of the session, even when it is in use. Null: none. */
  ends_at: number | null
}

/** Ends the tokens that a client got for itself: they have no session. */
export interface ClientRevocationRow {
  client_id: string
  /** Unix seconds. Tokens issued at or before this time have ended. */
  not_before: number
  /** The time after which every such token has expired by itself, whatever its lifetime. */
  expires_at: number
}

/** The only row names the store of the sessions. */
export interface SessionStoreRow {
  /** Always 1. */
  one: number
  /** Random. Each change of the store gives a new id, also when the new store was in use before. */
  id: string
  kind: 'database' | 'redis'
  /** The address of Redis without credentials, for messages. */
  address: string
  /** 0: the process that registered the store is still emptying it. */
  ready: number
  /** A starting process with another store writes a random text; a running instance clears it. */
  question: string
}

/** The only row describes the feed of revocations. Used only without Redis. */
export interface RevocationFeedRow {
  /** Always 1. */
  one: number
  /** Random. Changes when the database becomes the session store again. */
  name: string
  /** Unix seconds. The feed has no revocation from before this time. */
  epoch: number
  /** The position of the last entry. Writers take turns at this row, so positions are committed in their order. */
  position: number
}

/** An entry of the feed: a session that ended, or a revocation of a client's own tokens. The first entry is neither. */
export interface RevocationRow {
  position: number
  ended_at: number
  sid: string | null
  client_id: string | null
  /** Unix seconds. */
  issued_until: number | null
}

/** How long the feed must keep entries, for the instances with this lifetime of access tokens. */
export interface RevocationRetentionRow {
  /** Milliseconds. */
  kept: number
  needed_until: number
}
