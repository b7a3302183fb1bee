import { randomUUID } from 'node:crypto'
import { inTransaction } from '../database/conflicts.js'
import type { Database } from '../database/database.js'
import { sql, type UpdateObject } from '../database/kysely.js'
import type { Tables, UserRow } from '../database/schema.js'
import type { AccountClaims } from '../tokens/account-claim-name.js'
import { fromColumn, toColumn } from './account-claims.js'
import { type ExportPage, exportAccounts } from './export.js'
import { type AddMore, type ImportedAccount, type ImportOutcome, importAccounts } from './import.js'
import type { HashingSlot, PasswordHashing } from './password-hashing.js'
import { renameRow } from './rename.js'
import { type NewUser, toUser, type User } from './user.js'
import { shownUsername, usernameKey, usernameSkeleton } from './username.js'

export type { NewUser, User }

export type SignIn = { outcome: 'accepted'; user: User } | { outcome: 'refused'; reason: SignInRefusal; sub?: string }
export type SignInRefusal = 'unknown_user' | 'wrong_password' | 'disabled'

/** The account that a sign-in names, if it exists. */
export interface SignInCandidate {
  sub: string | undefined
  row: UserRow | undefined
}

/** Functions that take `address` wait for a hashing slot: networks share that queue fairly. */
export interface Users {
  /** Creates an account. The caller checked everything against its rules. `id_taken`: another account or a client has the id. */
  create(account: NewUser, address?: string): Promise<User | 'taken' | 'id_taken'>
  find(id: string): Promise<User | undefined>
  findByName(username: string): Promise<User | undefined>
  findClaims(id: string): Promise<AccountClaims | undefined>
  /** A page of the accounts, in the order of their names. */
  list(page: UsersPage): Promise<User[]>
  /** Call this while you hold a hashing slot, before {@link Users.signIn}. */
  findCandidate(username: string): Promise<SignInCandidate>
  /** Checks the password. An unknown name, a wrong password and a disabled account take the same time. */
  signIn(candidate: SignInCandidate, password: string, slot: HashingSlot): Promise<SignIn>
  /**
   * Whether an accepted sign-in still holds: the account exists and is enabled, its name, its password and its factors are the
   * same, and it kept all roles of `user`. Call this after you created the session. A change of an account writes the account
   * first and ends its sessions after. So either this call sees the change, or the change sees the session.
   */
  isCurrent(user: User): Promise<boolean>
  isPassword(id: string, password: string, address: string): Promise<boolean>
  /**
   * Returns false when the password changed since `user` was read. Of two simultaneous changes the first holds. The second
   * caller knew only an old password, and cannot undo the first change.
   */
  changePassword(user: User, password: string, address: string): Promise<boolean>
  /** Sets the password without knowing the old one. Returns whether the account exists. End its sessions after, not before. */
  setPassword(id: string, password: string, address?: string): Promise<boolean>
  /** Does the same with a hash of another system. The caller checked that the hash is readable. */
  setPasswordHash(id: string, passwordHash: string): Promise<boolean>
  /** The caller checked the roles. Returns whether the account exists. */
  setRoles(id: string, roles: readonly string[]): Promise<boolean>
  /** The caller checked the claims. Returns whether the account exists. */
  setClaims(id: string, claims: AccountClaims): Promise<boolean>
  /** The caller checked the name. `taken`: another account has it, or a name that looks like it. Rename its sessions after. */
  rename(id: string, username: string): Promise<User | 'taken' | undefined>
  /** Adds checked accounts of another system, all or none. Returns an outcome for each, in their order. */
  import(accounts: readonly ImportedAccount[], addMore?: AddMore): Promise<ImportOutcome[]>
  /** Accounts as the import reads them, in the order of their ids, after this id. */
  export(page: { limit: number; after: string }): Promise<ExportPage>
  /** Returns whether the account exists. End its sessions with one factor after, not before. */
  setMfaRequired(id: string, isRequired: boolean): Promise<boolean>
  /** Returns whether the account exists. End its sessions after, not before. */
  disable(id: string): Promise<boolean>
  enable(id: string): Promise<boolean>
  /** Deletes an account that is disabled. End its sessions after you disabled it. Returns whether this call deleted it. */
  delete(id: string): Promise<boolean>
}

type UserUpdate = UpdateObject<Tables, 'users', 'users'>

export interface UsersPage {
  /** The most accounts to return. */
  limit: number
  /** Only names after this one. */
  after?: string | undefined
  /** Only names with this prefix, in any spelling. */
  prefix?: string | undefined
  /** Only disabled accounts, or only enabled ones. */
  disabled?: boolean | undefined
}

export function createUsers(database: Database, hashing: PasswordHashing): Users {
  const { db, now, byCodePoint } = database
  const key = sql<string>`username_key ${byCodePoint}`
  const findRow = (id: string) => db.selectFrom('users').selectAll().where('id', '=', id).executeTakeFirst()

  async function findRowByName(username: string): Promise<UserRow | undefined> {
    const name = usernameKey(username)
    // Postgres refuses NUL in a text, and no account has NUL in its name.
    if (name.includes('\0')) return undefined
    // The query returns one row, whether the account exists or not. Guesses that the throttle refuses run this query too, and
    // get their answer soon after. An extra 5 µs to read a row would tell that the account exists.
    const { rows } = await sql<UserRow | { id: null }>`
      SELECT users.* FROM (SELECT 1) AS always LEFT JOIN users ON username_key = ${name}`.execute(db)
    const [found] = rows
    return found?.id ? found : undefined
  }

  /** Updates one account, if it exists and has this password version. Returns whether it did. */
  async function update(id: string, values: UserUpdate, passwordVersion?: number): Promise<boolean> {
    let query = db.updateTable('users').set(values).where('id', '=', id)
    if (passwordVersion !== undefined) query = query.where('password_version', '=', passwordVersion)
    const { numUpdatedRows } = await query.executeTakeFirst()
    return numUpdatedRows > 0n
  }

  const newHash = (passwordHash: string): UserUpdate => ({
    password_hash: passwordHash,
    password_version: sql<number>`password_version + 1`,
  })

  return {
    create({ username, password, id = randomUUID(), roles = [], claims = {} }, address) {
      return hashing.withSlot(address, async (slot) => {
        // Looks for the name first: a name that is taken costs no hash.
        const skeleton = usernameSkeleton(username)
        const twin = await db
          .selectFrom('users')
          .select('id')
          .where((where) => where.or({ username_key: usernameKey(username), username_skeleton: skeleton }))
          .executeTakeFirst()
        if (twin) return 'taken'
        if (await isIdTaken(id)) return 'id_taken'
        const inserted = await db
          .insertInto('users')
          .values({
            id,
            username: shownUsername(username),
            username_key: usernameKey(username),
            username_skeleton: skeleton,
            password_hash: await slot.hash(password),
            password_version: 1,
            roles: JSON.stringify(roles),
            disabled_at: null,
            created_at: now,
            claims: toColumn(claims),
          })
          .onConflict((conflict) => conflict.doNothing())
          .returningAll()
          .executeTakeFirst()
        return inserted ? toUser(inserted) : 'taken'
      })
    },

    async find(id) {
      const found = await findRow(id)
      return found && toUser(found)
    },

    async findByName(username) {
      const found = await findRowByName(username)
      return found && toUser(found)
    },

    async findClaims(id) {
      const found = await db.selectFrom('users').select('claims').where('id', '=', id).executeTakeFirst()
      return found && fromColumn(found.claims)
    },

    async list({ limit, after = '', prefix = '', disabled }) {
      const [last = '', first = ''] = [after, prefix].map((text) => usernameKey(text).replaceAll('\0', ''))
      // The query has one lower bound. Of two bounds SQLite takes the first, and reads all names from there on: half a second for
      // a million accounts.
      const startsAtPrefix = Buffer.compare(Buffer.from(last), Buffer.from(first)) < 0
      let query = db
        .selectFrom('users')
        .selectAll()
        .where(key, startsAtPrefix ? '>=' : '>', startsAtPrefix ? first : last)
      // U+10FFFF is the last code point, and no name has it.
      if (first !== '') query = query.where(key, '<', `${first}\u{10FFFF}`)
      if (disabled !== undefined) query = query.where('disabled_at', disabled ? 'is not' : 'is', null)
      const rows = await query.orderBy(key).limit(limit).execute()
      return rows.map(toUser)
    },

    async findCandidate(username) {
      const row = await findRowByName(username)
      return { sub: row?.id, row }
    },

    async signIn({ row }, password, slot) {
      const matches = await slot.verify(row?.password_hash, password)
      if (!row) return { outcome: 'refused', reason: 'unknown_user' }
      if (!matches) return { outcome: 'refused', reason: 'wrong_password', sub: row.id }
      if (row.disabled_at !== null) return { outcome: 'refused', reason: 'disabled', sub: row.id }
      if (slot.isOutdated(row.password_hash)) await rehash(row, await slot.hash(password))
      return { outcome: 'accepted', user: toUser(row) }
    },

    async isCurrent(user) {
      const found = await findRow(user.id)
      if (found?.disabled_at !== null || found.password_version !== user.passwordVersion) return false
      if (found.username !== user.username) return false
      if (found.factors_version !== user.factorsVersion) return false
      const { roles } = toUser(found)
      return user.roles.every((role) => roles.includes(role))
    },

    isPassword: (id, password, address) =>
      hashing.withSlot(address, async (slot) => slot.verify((await findRow(id))?.password_hash, password)),

    async changePassword({ id, passwordVersion }, password, address) {
      return update(id, newHash(await hashing.hash(password, address)), passwordVersion)
    },
    async setPassword(id, password, address) {
      return update(id, newHash(await hashing.hash(password, address)))
    },
    setPasswordHash: (id, passwordHash) => update(id, newHash(passwordHash)),
    setRoles: (id, roles) => update(id, { roles: JSON.stringify(roles) }),
    setMfaRequired: (id, isRequired) =>
      update(id, { mfa_required: isRequired ? 1 : 0, factors_version: sql<number>`factors_version + 1` }),
    setClaims: (id, claims) => update(id, { claims: toColumn(claims) }),

    async rename(id, username) {
      const renamed = await renameRow(db, id, username)
      return typeof renamed === 'object' ? toUser(renamed) : renamed
    },

    disable: (id) => update(id, { disabled_at: sql<number>`coalesce(disabled_at, ${now})` }),
    enable: (id) => update(id, { disabled_at: null }),

    import: (accounts, addMore) => importAccounts(database, accounts, addMore),
    export: (page) => exportAccounts(database, page),

    async delete(id) {
      return inTransaction(db, async (transaction) => {
        const { numDeletedRows } = await transaction
          .deleteFrom('users')
          .where('id', '=', id)
          .where('disabled_at', 'is not', null)
          .executeTakeFirst()
        if (numDeletedRows === 0n) return false
        // An import may bring an account with this id again. That account must not have these factors.
        await transaction.deleteFrom('factors').where('sub', '=', id).execute()
        await transaction.deleteFrom('recovery_codes').where('sub', '=', id).execute()
        return true
      })
    },
  }

  /** Both ids are the `sub` of tokens, and a service that only reads `sub` must not confuse the two (RFC 9068 §5). */
  async function isIdTaken(id: string): Promise<boolean> {
    const client = await db.selectFrom('clients').select('id').where('id', '=', id).executeTakeFirst()
    return client !== undefined || (await findRow(id)) !== undefined
  }

  async function rehash(found: UserRow, stronger: string): Promise<void> {
    await db
      .updateTable('users')
      .set({ password_hash: stronger })
      .where('id', '=', found.id)
      // Keeps a password that was changed meanwhile.
      .where('password_hash', '=', found.password_hash)
      .execute()
  }
}
