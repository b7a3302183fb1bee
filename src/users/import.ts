import { createHash } from 'node:crypto'
import { inTransaction } from '../database/conflicts.js'
import type { Database } from '../database/database.js'
import type { Kysely } from '../database/kysely.js'
import type { Tables } from '../database/schema.js'
import type { AccountClaims } from '../tokens/account-claim-name.js'
import { readAccountClaims, toColumn } from './account-claims.js'
import { readPasswordHash } from './hash-formats/read-hash.js'
import { toPhcString } from './keycloak-credential.js'
import { brokenImportedRoleRule } from './role.js'
import { isUserId, USER_ID_RULE } from './user-id.js'
import { brokenUsernameRule, shownUsername, usernameKey, usernameRules, usernameSkeleton } from './username.js'

/** An account of another system. */
export interface ImportedAccount {
  id: string
  username: string
  passwordHash: string
  roles: readonly string[]
  disabled: boolean
  /** Unix milliseconds; undefined means now. */
  createdAt: number | undefined
  claims: AccountClaims
  /** The account must sign in with two factors. */
  mfaRequired: boolean
  passwordVersion: number
}

/** Adds what other rooms keep of new accounts, in the transaction that adds the accounts. */
export type AddMore = (transaction: Kysely<Tables>, added: ReadonlySet<string>) => Promise<void>

/**
 * `present`: an earlier import brought the account, which may have changed since. `name_taken`: another account has the name.
 * `id_taken`: another account or a client has the id. Accounts and clients that exist stay as they are.
 */
export type ImportOutcome = 'imported' | 'present' | 'name_taken' | 'id_taken'

export const importOutcomes: Record<Exclude<ImportOutcome, 'imported' | 'present'>, string> = {
  name_taken: 'another account has this user name, or one that looks like it',
  id_taken: 'another account, or a client, has this id',
}

/** Unix seconds: the end of the year 9999, which PostgreSQL and JavaScript both can show. */
const MAX_TIME = 253_402_300_799
const MAX_VERSION = 1_000_000_000

/**
 * Reads an account of an import: `username` and `password_hash`, and optionally `id`, `roles`, `disabled`, `created_at`,
 * `claims`, `mfa_required` and `password_version`.
 *
 * @returns the account, or the reason why it is refused. The reason repeats nothing of the hash
 */
export function readImportedAccount(value: unknown): ImportedAccount | string {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'it is not a JSON object'
  const account = value as Record<string, unknown>
  const { username, password_hash: given, id, roles = [], disabled = false, created_at: created } = account
  const { mfa_required: mfaRequired, password_version: passwordVersion = 1 } = account
  if ('password' in account) return 'password is not allowed: send its hash as password_hash'
  if (typeof username !== 'string') return 'username is missing, or not a text'
  const nameRule = brokenUsernameRule(username)
  if (nameRule) return usernameRules[nameRule]
  const foreign = foreignExportOf(account)
  if (given === undefined && foreign) return `it is a line of ${foreign}: docs/accounts.md says how to convert it`
  const passwordHash = typeof given === 'object' && given !== null ? toPhcString(given) : given
  if (typeof passwordHash !== 'string')
    return 'password_hash is missing, or neither a text nor a credential of Keycloak'
  const read = readPasswordHash(passwordHash)
  if (typeof read === 'string') return `password_hash: ${read}`
  if (id !== undefined && !(typeof id === 'string' && isUserId(id))) return USER_ID_RULE
  if (!Array.isArray(roles) || !roles.every((role) => typeof role === 'string')) return 'roles must be a list of texts'
  const roleRule = brokenImportedRoleRule(roles)
  if (roleRule) return `roles: ${roleRule}`
  if (typeof disabled !== 'boolean') return 'disabled must be true or false'
  if (mfaRequired !== undefined && typeof mfaRequired !== 'boolean') return 'mfa_required must be true or false'
  if (created !== undefined && !(Number.isInteger(created) && Number(created) >= 0 && Number(created) <= MAX_TIME)) {
    return 'created_at must be Unix time in whole seconds'
  }
  if (!(Number.isInteger(passwordVersion) && Number(passwordVersion) >= 1 && Number(passwordVersion) <= MAX_VERSION)) {
    return 'password_version must be a whole number from 1'
  }
  const claims = readAccountClaims(account.claims ?? {})
  if (typeof claims === 'string') return claims
  return {
    id: id ?? deriveId(username, passwordHash),
    username,
    passwordHash,
    roles: [...new Set(roles)],
    disabled,
    createdAt: created === undefined ? undefined : Number(created) * 1000,
    claims,
    mfaRequired: mfaRequired === true,
    passwordVersion: Number(passwordVersion),
  }
}

/** The system whose export has such a line, to help with the conversion. */
function foreignExportOf(account: Record<string, unknown>): string | undefined {
  if ('credentials' in account) return 'the export of Keycloak'
  if ('passwordHash' in account && 'localId' in account) return 'the export of Firebase'
  return 'passwordHash' in account ? 'the export of Auth0' : undefined
}

/**
 * Derives an id for an account that has none in the file. The same line always gives the same id, so an interrupted import can
 * run again. It recognises the accounts that it has made, even if a person has changed the password in Latchkey since. The hash
 * has a random salt, so a username alone does not tell the id.
 */
function deriveId(username: string, passwordHash: string): string {
  const hex = createHash('sha256')
    .update(`${usernameKey(username)}\0${passwordHash}`)
    .digest('hex')
  // A UUID of version 8, for custom contents (RFC 9562 §5.8).
  const variant = ((Number.parseInt(hex.slice(16, 17), 16) & 3) | 8).toString(16)
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    variant + hex.slice(17, 20),
    hex.slice(20, 32),
  ].join('-')
}

/**
 * Adds these accounts in one statement, all or none, and returns the outcome for each. Refuses the id of a client. Both ids are
 * the `sub` of their tokens, and a service that only reads `sub` must not confuse the two (RFC 9068 §5).
 */
export async function importAccounts(
  database: Database,
  accounts: readonly ImportedAccount[],
  addMore?: AddMore,
): Promise<ImportOutcome[]> {
  if (accounts.length === 0) return []
  const ids = accounts.map(({ id }) => id)
  const clients = await database.db.selectFrom('clients').select('id').where('id', 'in', ids).execute()
  const clientIds = new Set(clients.map(({ id }) => id))
  const outcomes = await addAccounts(
    database,
    accounts.filter(({ id }) => !clientIds.has(id)),
    addMore,
  )
  return ids.map((id) => (clientIds.has(id) ? 'id_taken' : (outcomes.shift() as ImportOutcome)))
}

async function addAccounts(
  { db, now }: Database,
  accounts: readonly ImportedAccount[],
  addMore: AddMore | undefined,
): Promise<ImportOutcome[]> {
  if (accounts.length === 0) return []
  const keys = accounts.map(({ username }) => usernameKey(username))
  const skeletons = accounts.map(({ username }) => usernameSkeleton(username))
  const insert = (into: Kysely<Tables>) =>
    into
      .insertInto('users')
      .values(
        accounts.map(
          (
            { id, username, passwordHash, roles, disabled, createdAt, claims, mfaRequired, passwordVersion },
            index,
          ) => ({
            id,
            username: shownUsername(username),
            username_key: keys[index] as string,
            username_skeleton: skeletons[index] as string,
            password_hash: passwordHash,
            password_version: passwordVersion,
            roles: JSON.stringify(roles),
            disabled_at: disabled ? now : null,
            created_at: createdAt ?? now,
            claims: toColumn(claims),
            mfa_required: mfaRequired ? 1 : 0,
          }),
        ),
      )
      .onConflict((conflict) => conflict.doNothing())
      .returning('id')
      .execute()
  const idsOf = (rows: readonly { id: string }[]) => new Set(rows.map(({ id }) => id))
  const added = addMore
    ? await inTransaction(db, async (transaction) => {
        const ids = idsOf(await insert(transaction))
        await addMore(transaction, ids)
        return ids
      })
    : idsOf(await insert(db))
  if (added.size === accounts.length) return accounts.map(() => 'imported')

  const existing = await db
    .selectFrom('users')
    .select(['id', 'username_key', 'username_skeleton'])
    .where((where) => where.or([where('username_key', 'in', keys), where('username_skeleton', 'in', skeletons)]))
    .execute()
  const idOfKey = new Map(existing.map(({ id, username_key }) => [username_key, id]))
  const idOfSkeleton = new Map(existing.map(({ id, username_skeleton }) => [username_skeleton, id]))
  return accounts.map(({ id }, index) => {
    const owner = idOfKey.get(keys[index] as string) ?? idOfSkeleton.get(skeletons[index] as string)
    if (owner === undefined) return 'id_taken'
    if (owner !== id) return 'name_taken'
    // An account that the import has twice is added once.
    return added.delete(id) ? 'imported' : 'present'
  })
}
