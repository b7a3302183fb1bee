import { isId } from '@latchkey/verifier/assertion'
import { assertionKeysFromJwk, type Jwk } from '@latchkey/verifier/jwk'
import type { Database } from '../database/database.js'
import type { ClientRow } from '../database/schema.js'

/** The subject of a trusted issuer whose tokens authenticate the client. */
export interface SubjectBinding {
  /** The name of the trusted issuer. */
  issuer: string
  subject: string
}

/** How a client may authenticate besides a secret. */
export interface ClientProof {
  /** The client's public keys, as the JSON text of a list of JWKs. At most one of `jwks` and `jwksUri` is set. */
  jwks: string | undefined
  jwksUri: string | undefined
  binding: SubjectBinding | undefined
}

/** A change of how a client authenticates. An omitted member stays as it is; null removes it. */
export interface ProofChange {
  /** Replaces the keys, and the address of the keys. */
  jwks?: string | null
  jwksUri?: string | null
  binding?: SubjectBinding | null
  /** Null removes every secret. */
  secret?: null
}

export type ProofOutcome = 'changed' | 'unknown_client' | 'unknown_issuer' | 'subject_taken' | 'no_proof_left'

/** Stands for the hash of no secret: no text is known whose SHA-256 has only zeros. Older versions compare it like any other. */
export const NO_SECRET_HASH = '0'.repeat(64)

/** Keys that a client or an issuer may list. */
const MAX_KEYS = 20
const MAX_URL_LENGTH = 2000
const MAX_SUBJECT_LENGTH = 1024

/**
 * The text that stores a JWK Set, or a list of JWKs. It has the public members only.
 *
 * @throws Error that says what is wrong
 */
export function serializeJwks(value: unknown): string {
  const keys = Array.isArray(value) ? value : (value as { keys?: unknown } | null | undefined)?.keys
  if (!Array.isArray(keys) || keys.length === 0) throw new Error('jwks must be an object with a list "keys", not empty')
  if (keys.length > MAX_KEYS) throw new Error(`jwks has more than ${MAX_KEYS} keys: remove the old ones`)
  const kids = keys.map((jwk: Jwk, index) => {
    try {
      return assertionKeysFromJwk(jwk)[0]?.kid
    } catch (error) {
      throw new Error(`key ${index + 1} of jwks: ${(error as Error).message}`)
    }
  })
  if (new Set(kids).size < kids.length) throw new Error('two keys of jwks have the same kid: remove one')
  return JSON.stringify(
    keys.map(({ kty, crv, x, y, n, e, kid, alg, use }: Jwk) => ({ kty, crv, x, y, n, e, kid, alg, use })),
  )
}

/** The keys of a text that {@link serializeJwks} wrote. */
export const parseJwks = (text: string): Jwk[] => JSON.parse(text) as Jwk[]

/**
 * Checks an address from which keys are fetched. Over plain HTTP, anybody on the way could replace the keys.
 *
 * @param plainHttp whether every host may be called over HTTP, as in development; otherwise only this machine may
 * @throws Error that says what is wrong
 */
export function checkKeyUrl(text: string, name: string, plainHttp: boolean): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (!url || !['https:', 'http:'].includes(url.protocol) || text.length > MAX_URL_LENGTH) {
    throw new Error(`${name} must be a URL that begins with https://`)
  }
  if (url.username !== '' || url.password !== '' || url.hash !== '') {
    throw new Error(`${name} must have no user name, no password and no fragment`)
  }
  const isLoopback = /^(localhost|127(\.\d+){3}|\[::1\])$/.test(url.hostname)
  if (url.protocol === 'http:' && !isLoopback && !plainHttp) {
    throw new Error(`${name} must begin with https://: over http anybody on the way could replace the keys`)
  }
  return text
}

/** @throws Error that says what is wrong */
export function checkSubject(subject: string): string {
  if (!isId(subject) || subject.length > MAX_SUBJECT_LENGTH) {
    throw new Error(`subject must be 1 to ${MAX_SUBJECT_LENGTH} printable ASCII characters without spaces`)
  }
  return subject
}

export function proofOf(row: Pick<ClientRow, 'jwks' | 'jwks_uri' | 'issuer' | 'subject'>): ClientProof {
  return {
    jwks: row.jwks ?? undefined,
    jwksUri: row.jwks_uri ?? undefined,
    binding: row.issuer !== null && row.subject !== null ? { issuer: row.issuer, subject: row.subject } : undefined,
  }
}

export function proofColumns({ jwks, jwksUri, binding }: Partial<ClientProof>) {
  return {
    jwks: jwks ?? null,
    jwks_uri: jwksUri ?? null,
    issuer: binding?.issuer ?? null,
    subject: binding?.subject ?? null,
  }
}

/** Why a client cannot have this binding, or undefined. */
export async function findBindingFault(
  { db }: Pick<Database, 'db'>,
  clientId: string,
  { issuer, subject }: SubjectBinding,
): Promise<'unknown_issuer' | 'subject_taken' | undefined> {
  const known = await db.selectFrom('trusted_issuers').select('name').where('name', '=', issuer).executeTakeFirst()
  if (!known) return 'unknown_issuer'
  const bound = await findBoundId({ db }, { issuer, subject })
  return bound === undefined || bound === clientId ? undefined : 'subject_taken'
}

/** The id of the client that is bound to this subject. */
export async function findBoundId(
  { db }: Pick<Database, 'db'>,
  { issuer, subject }: SubjectBinding,
): Promise<string | undefined> {
  const row = await db
    .selectFrom('clients')
    .select('id')
    .where('issuer', '=', issuer)
    .where('subject', '=', subject)
    .executeTakeFirst()
  return row?.id
}

/** Changes how a client authenticates. Refuses a change after which it could not authenticate at all. */
export async function changeProof(
  { db }: Pick<Database, 'db'>,
  id: string,
  { jwks, jwksUri, binding, secret }: ProofChange,
): Promise<ProofOutcome> {
  const row = await db.selectFrom('clients').selectAll().where('id', '=', id).executeTakeFirst()
  if (!row) return 'unknown_client'
  if (binding) {
    const fault = await findBindingFault({ db }, id, binding)
    if (fault) return fault
  }
  const changed = {
    ...(jwks !== undefined && { jwks, ...(jwks !== null && { jwks_uri: null }) }),
    ...(jwksUri !== undefined && { jwks_uri: jwksUri, ...(jwksUri !== null && { jwks: null }) }),
    ...(binding !== undefined && { issuer: binding?.issuer ?? null, subject: binding?.subject ?? null }),
    ...(secret === null && { secret_hash: NO_SECRET_HASH, previous_secret_hash: null, previous_secret_until: null }),
  }
  const next = { ...row, ...changed }
  if (next.secret_hash === NO_SECRET_HASH && !next.jwks && !next.jwks_uri && !next.issuer) return 'no_proof_left'
  if (Object.keys(changed).length > 0) await db.updateTable('clients').set(changed).where('id', '=', id).execute()
  return 'changed'
}
