import type { Generated } from './kysely.js'

/**
 * The tables. Times are Unix milliseconds. Columns are only text and bigint, which SQLite and Postgres store in the same way.
 * Never bind a boolean: libsql 0.5 aborts the process on one.
 */
export interface Tables {
  users: WithDefaults<UserRow, 'factors' | 'factors_version' | 'mfa_required'>
  clients: ClientRow
  sessions: SessionRow
  client_revocations: ClientRevocationRow
  session_store: SessionStoreRow
  revocation_feed: RevocationFeedRow
  revocations: RevocationRow
  revocation_retention: RevocationRetentionRow
  trusted_issuers: TrustedIssuerRow
  single_uses: SingleUseRow
  factors: FactorRow
  recovery_codes: RecoveryCodeRow
  used_tickets: UsedTicketRow
}

/** A row whose columns have a default, so that a new row may leave them out. */
type WithDefaults<Row, Columns extends keyof Row> = Omit<Row, Columns> & {
  [Column in Columns]: Generated<Row[Column]>
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
  /** The number of confirmed factors besides the password. Sign-in reads it here, and so needs no further query. */
  factors: number
  /** Counts the changes of the factors and of `mfa_required`. */
  factors_version: number
  /** 1: the account must sign in with two factors. */
  mfa_required: number
  /** JSON object. Null: no claim. */
  claims: string | null
}

export interface ClientRow {
  id: string
  /** SHA-256, hex. 64 zeros: the client has no secret. */
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
  /** Public keys with which the client signs its assertions: a JSON list of JWKs. At most one of `jwks` and `jwks_uri` is set. */
  jwks: string | null
  jwks_uri: string | null
  /** A token of the trusted issuer of this name, for this subject, authenticates the client. Both are set, or neither. */
  issuer: string | null
  subject: string | null
  created_at: number
}

/** An issuer whose tokens may authenticate clients. */
export interface TrustedIssuerRow {
  name: string
  /** Several issuers may have the same one: many Kubernetes clusters keep the default. */
  issuer: string
  /** The address of the keys. Null with `jwks`, and when the keys are discovered from the issuer. */
  jwks_uri: string | null
  /** A JSON list of JWKs. */
  jwks: string | null
  /** The path of a PEM file with the certificate authorities of the addresses of the keys. */
  ca_file: string | null
  /** The path of a file with a bearer token for these addresses. */
  bearer_file: string | null
  created_at: number
}

/** Something that was used, and may be used once. Used only without Redis. */
interface SingleUseRow {
  id: string
  expires_at: number
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
  /** Null: at `created_at`. */
  authenticated_at: number | null
  /** Space-separated. Null: `pwd`. */
  amr: string | null
  expires_at: number
  /** The latest end of the session, even when it is in use. Null: none. */
  ends_at: number | null
}

/** Ends the tokens that a client got for itself: they have no session. */
interface ClientRevocationRow {
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
interface RevocationFeedRow {
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
interface RevocationRetentionRow {
  /** Milliseconds. */
  kept: number
  needed_until: number
}

/** A second factor, or the enrolment of one that is not confirmed yet. */
export interface FactorRow {
  id: string
  sub: string
  type: 'totp' | 'passkey'
  /** The name that the person gave. */
  name: string | null
  /** TOTP: the shared secret, sealed. Passkey: the COSE public key in base64url. */
  secret: string
  /** Passkey: the id of the credential in base64url. */
  credential_id: string | null
  /** TOTP: the last time step that was used. Passkey: the last signature counter. */
  counter: number
  /** Passkey: JSON of the transports, and whether the key is synchronised. */
  details: string | null
  created_at: number
  /** Null: the person has not proved yet that they hold the factor. */
  confirmed_at: number | null
  last_used_at: number | null
}

/** A recovery code that was not used yet. */
export interface RecoveryCodeRow {
  sub: string
  /** SHA-256, base64url. */
  hash: string
}

/** A ticket that is good once and was used. */
interface UsedTicketRow {
  id: string
  expires_at: number
}
