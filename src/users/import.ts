import { createHash } from 'node:crypto'
import type { Database } from '../database/database.js'
import { readPasswordHash } from './password-hash.js'
import { brokenRoleRule } from './role.js'
import { brokenUsernameRule, shownUsername, usernameKey, usernameRules, usernameSkeleton } from './username.js'

/** An account as another system had it. */
export interface ImportedAccount {
  id: string
  username: string
  passwordHash: string
  roles: readonly string[]
  disabled: boolean
  /** Unix milliseconds; undefined: now. */
  createdAt: number | undefined
}

/**
 * `present`: it has been imported before, whatever has become of it since. `name_taken`, `id_taken`: by another account,
 * which stays as it is, or, the id, by a client.
 */
export type ImportOutcome = 'imported' | 'present' | 'name_taken' | 'id_taken'

export const importOutcomes: Record<Exclude<ImportOutcome, 'imported' | 'present'>, string> = {
  name_taken: 'there is another account with this user name, or one that looks like it',
  id_taken: 'there is another account, or a client, with this id',
}

// Not just any text: it is the `sub` of tokens, where the ids of clients stand too.
const ID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
/** Unix seconds: of the year 9999, as PostgreSQL and JavaScript both can show it. */
const MAX_TIME = 253_402_300_799

/**
 * Reads an account of an import: `username` and `password_hash`; if wanted `id`, `roles`, `disabled`, `created_at`.
 *
 * @returns the reason where it cannot be taken; it repeats nothing of the hash
 */
export function readImportedAccount(value: unknown): ImportedAccount | string {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'it is no JSON object'
  const account = value as Record<string, unknown>
  const { username, password_hash: passwordHash, id, roles = [], disabled = false, created_at: created } = account
  if ('password' in account) return 'password: passwords are not taken, only their hashes, as password_hash'
  if (typeof username !== 'string') return 'username is missing, or no text'
  const nameRule = brokenUsernameRule(username)
  if (nameRule) return usernameRules[nameRule]
  if (typeof passwordHash !== 'string') return 'password_hash is missing, or no text'
  const read = readPasswordHash(passwordHash)
  if (typeof read === 'string') return `password_hash: ${read}`
  if (id !== undefined && !(typeof id === 'string' && ID.test(id))) return 'id must be a UUID in small letters'
  if (!Array.isArray(roles) || !roles.every((role) => typeof role === 'string')) return 'roles must be a list of texts'
  const roleRule = brokenRoleRule(roles)
  if (roleRule) return `roles: ${roleRule}`
  if (typeof disabled !== 'boolean') return 'disabled must be true or false'
  if (created !== undefined && !(Number.isInteger(created) && Number(created) >= 0 && Number(created) <= MAX_TIME)) {
    return 'created_at must be Unix time in whole seconds'
  }
  return {
    id: id ?? idOf(username, passwordHash),
    username,
    passwordHash,
    roles: [...new Set(roles)],
    disabled,
    createdAt: created === undefined ? undefined : Number(created) * 1000,
  }
}

/**
 * The id of an account that comes without one: always the same, so that an import that was cut off can be run again, and
 * knows those that it brought from others of their name, even when they have changed their password since. Nobody can
 * tell it who does not know the hash with its salt.
 */
function idOf(username: string, passwordHash: string): string {
  const hex = createHash('sha256')
    .update(`${usernameKey(username)}\0${passwordHash}`)
    .digest('hex')
  // RFC 9562 §5.8: a UUID of one's own making.
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
 * Adds these accounts in one statement, all or none, and answers what became of each. None with the id of a client: both are
 * the `sub` of their tokens, and a service that looks at nothing else must not take one for the other (RFC 9068 §5).
 */
export async function importAccounts(
  database: Database,
  accounts: readonly ImportedAccount[],
): Promise<ImportOutcome[]> {
  if (accounts.length === 0) return []
  const ids = accounts.map(({ id }) => id)
  const clients = await database.db.selectFrom('clients').select('id').where('id', 'in', ids).execute()
  const ofClients = new Set(clients.map(({ id }) => id))
  const outcomes = await addAccounts(
    database,
    accounts.filter(({ id }) => !ofClients.has(id)),
  )
  return ids.map((id) => (ofClients.has(id) ? 'id_taken' : (outcomes.shift() as ImportOutcome)))
}

async function addAccounts({ db, now }: Database, accounts: readonly ImportedAccount[]): Promise<ImportOutcome[]> {
  if (accounts.length === 0) return []
  const keys = accounts.map(({ username }) => usernameKey(username))
  const skeletons = accounts.map(({ username }) => usernameSkeleton(username))
  const inserted = await db
    .insertInto('users')
    .values(
      accounts.map(({ id, username, passwordHash, roles, disabled, createdAt }, index) => ({
        id,
        username: shownUsername(username),
        username_key: keys[index] as string,
        username_skeleton: skeletons[index] as string,
        password_hash: passwordHash,
        password_version: 1,
        roles: JSON.stringify(roles),
        disabled_at: disabled ? now : null,
        created_at: createdAt ?? now,
      })),
    )
    .onConflict((conflict) => conflict.doNothing())
    .returning('id')
    .execute()
  const added = new Set(inserted.map(({ id }) => id))
  if (added.size === accounts.length) return accounts.map(() => 'imported')

  const there = await db
    .selectFrom('users')
    .select(['id', 'username_key', 'username_skeleton'])
    .where((where) => where.or([where('username_key', 'in', keys), where('username_skeleton', 'in', skeletons)]))
    .execute()
  const idOfKey = new Map(there.map(({ id, username_key }) => [username_key, id]))
  const idOfSkeleton = new Map(there.map(({ id, username_skeleton }) => [username_skeleton, id]))
  return accounts.map(({ id }, index) => {
    const holder = idOfKey.get(keys[index] as string) ?? idOfSkeleton.get(skeletons[index] as string)
    if (holder === undefined) return 'id_taken'
    if (holder !== id) return 'name_taken'
    // Given twice, it is added once.
    return added.delete(id) ? 'imported' : 'present'
  })
}
