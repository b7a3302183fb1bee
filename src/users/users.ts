import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import type { Database } from '../database/database.js'
import type { UserRow } from '../database/schema.js'
import { type ImportedAccount, type ImportOutcome, importAccounts } from './import.js'
import type { PasswordHashing } from './password.js'
import { shownUsername, usernameKey, usernameSkeleton } from './username.js'

export interface User {
  id: string
  username: string
  roles: string[]
  disabled: boolean
  /** Changes with each change of the password. */
  passwordVersion: number
  /** Unix milliseconds. */
  createdAt: number
}

export type SignIn = { outcome: 'accepted'; user: User } | { outcome: 'refused'; reason: RefusedSignIn; sub?: string }
export type RefusedSignIn = 'unknown_user' | 'wrong_password' | 'disabled'

export interface Users {
  /**
   * Makes an account, or answers `taken`. The name and the password have been checked against their rules.
   *
   * @param address of the caller, here and below: callers share the queue of passwords to hash by their networks
   */
  create(username: string, password: string, roles?: readonly string[], address?: string): Promise<User | 'taken'>
  find(id: string): Promise<User | undefined>
  findByName(username: string): Promise<User | undefined>
  /** A page of the accounts, in the order of their names. */
  list(page: UsersPage): Promise<User[]>
  /**
   * Checks a user name and a password, when the turn of this sign-in comes. Takes the same time for an unknown, a wrong and
   * a disabled one.
   *
   * @param around is done then, with the check in the middle; it is told the id of the account, undefined where there is none
   */
  signIn<Answer>(
    username: string,
    password: string,
    address: string,
    around: (sub: string | undefined, check: () => Promise<SignIn>) => Promise<Answer>,
  ): Promise<Answer>
  /**
   * Whether a sign-in that was accepted as `user` still holds: the account lives, is enabled, has the same password, and
   * none of its roles has been taken away. Ask it after the session has been made. Whoever changes the account writes that
   * first and ends its sessions after: so either we see it here, or they see our session.
   */
  isCurrent(user: User): Promise<boolean>
  isPassword(id: string, password: string, address: string): Promise<boolean>
  /**
   * Answers whether it did: not where the password has changed since `user` was read. Of two changes at once the first
   * holds, and the second, which knew an old password alone, cannot undo it.
   */
  changePassword(user: User, password: string, address: string): Promise<boolean>
  /** Sets the password, whatever it was. Answers whether there is such an account. End its sessions after, not before. */
  setPassword(id: string, password: string, address?: string): Promise<boolean>
  /** The same with a hash of another system, which has been read. */
  setPasswordHash(id: string, passwordHash: string): Promise<boolean>
  /** The roles have been checked. Answers whether there is such an account. */
  setRoles(id: string, roles: readonly string[]): Promise<boolean>
  /** Adds accounts of another system, which have been read; all or none. Answers what became of each, in their order. */
  import(accounts: readonly ImportedAccount[]): Promise<ImportOutcome[]>
  /** Answers whether there is such an account. End its sessions after, not before. */
  disable(id: string): Promise<boolean>
  enable(id: string): Promise<boolean>
  /** Deletes an account that is disabled, and whose sessions have ended since. Answers whether it did. */
  delete(id: string): Promise<boolean>
}

export interface UsersPage {
  /** At most so many. */
  limit: number
  /** Those after this name. */
  after?: string | undefined
  /** Those whose names begin so, in any spelling. */
  prefix?: string | undefined
  /** Those that are disabled, or those that are not. */
  disabled?: boolean | undefined
}

export function createUsers(database: Database, hashing: PasswordHashing): Users {
  const { db, now, byCodePoint } = database
  const key = sql<string>`username_key ${byCodePoint}`
  const row = (id: string) => db.selectFrom('users').selectAll().where('id', '=', id).executeTakeFirst()

  async function rowByName(username: string): Promise<UserRow | undefined> {
    const name = usernameKey(username)
    // Postgres refuses a NUL in a text, and no account has one in its name.
    if (name.includes('\0')) return undefined
    // One row whether there is such an account or not: guesses that the throttle refuses come here too, they are answered soon,
    // and 5 µs more for a row that is read would tell who has an account.
    const { rows } = await sql<UserRow | { id: null }>`
      SELECT users.* FROM (SELECT 1) AS always LEFT JOIN users ON username_key = ${name}`.execute(db)
    const [found] = rows
    return found?.id ? found : undefined
  }

  async function replaceHash(id: string, passwordHash: string): Promise<boolean> {
    const { numUpdatedRows } = await db
      .updateTable('users')
      .set({ password_hash: passwordHash, password_version: sql<number>`password_version + 1` })
      .where('id', '=', id)
      .executeTakeFirst()
    return numUpdatedRows > 0n
  }

  return {
    create: (username, password, roles = [], address) =>
      hashing.inTurn(address, async ({ hash }) => {
        // A name that is taken costs no hash.
        const skeleton = usernameSkeleton(username)
        const twin = await db
          .selectFrom('users')
          .select('id')
          .where((where) => where.or({ username_key: usernameKey(username), username_skeleton: skeleton }))
          .executeTakeFirst()
        if (twin) return 'taken'
        const inserted = await db
          .insertInto('users')
          .values({
            id: randomUUID(),
            username: shownUsername(username),
            username_key: usernameKey(username),
            username_skeleton: skeleton,
            password_hash: await hash(password),
            password_version: 1,
            roles: JSON.stringify(roles),
            disabled_at: null,
            created_at: now,
          })
          .onConflict((conflict) => conflict.doNothing())
          .returningAll()
          .executeTakeFirst()
        return inserted ? toUser(inserted) : 'taken'
      }),

    async find(id) {
      const found = await row(id)
      return found && toUser(found)
    },

    async findByName(username) {
      const found = await rowByName(username)
      return found && toUser(found)
    },

    async list({ limit, after = '', prefix = '', disabled }) {
      const [last = '', first = ''] = [after, prefix].map((text) => usernameKey(text).replaceAll('\0', ''))
      // One lower bound: of two SQLite takes the first, and reads all names from there on (half a second, of a million).
      const begins = Buffer.compare(Buffer.from(last), Buffer.from(first)) < 0
      let query = db
        .selectFrom('users')
        .selectAll()
        .where(key, begins ? '>=' : '>', begins ? first : last)
      // U+10FFFF is the last of all, and in no name.
      if (first !== '') query = query.where(key, '<', `${first}\u{10FFFF}`)
      if (disabled !== undefined) query = query.where('disabled_at', disabled ? 'is not' : 'is', null)
      const rows = await query.orderBy(key).limit(limit).execute()
      return rows.map(toUser)
    },

    signIn: (username, password, address, around) =>
      hashing.inTurn(address, async (passwords) => {
        const found = await rowByName(username)
        return around(found?.id, async () => {
          const matches = await passwords.verify(found?.password_hash, password)
          if (!found) return { outcome: 'refused', reason: 'unknown_user' }
          if (!matches) return { outcome: 'refused', reason: 'wrong_password', sub: found.id }
          if (found.disabled_at !== null) return { outcome: 'refused', reason: 'disabled', sub: found.id }
          if (passwords.isOutdated(found.password_hash)) await rehash(found, await passwords.hash(password))
          return { outcome: 'accepted', user: toUser(found) }
        })
      }),

    async isCurrent(user) {
      const found = await row(user.id)
      if (found?.disabled_at !== null || found.password_version !== user.passwordVersion) return false
      const { roles } = toUser(found)
      return user.roles.every((role) => roles.includes(role))
    },

    isPassword: (id, password, address) =>
      hashing.inTurn(address, async ({ verify }) => verify((await row(id))?.password_hash, password)),

    async changePassword({ id, passwordVersion }, password, address) {
      const { numUpdatedRows } = await db
        .updateTable('users')
        .set({
          password_hash: await hashing.hash(password, address),
          password_version: sql<number>`password_version + 1`,
        })
        .where('id', '=', id)
        .where('password_version', '=', passwordVersion)
        .executeTakeFirst()
      return numUpdatedRows > 0n
    },

    async setPassword(id, password, address) {
      return replaceHash(id, await hashing.hash(password, address))
    },

    setPasswordHash: replaceHash,

    async setRoles(id, roles) {
      const { numUpdatedRows } = await db
        .updateTable('users')
        .set({ roles: JSON.stringify(roles) })
        .where('id', '=', id)
        .executeTakeFirst()
      return numUpdatedRows > 0n
    },

    import: (accounts) => importAccounts(database, accounts),

    async disable(id) {
      const { numUpdatedRows } = await db
        .updateTable('users')
        .set({ disabled_at: sql<number>`coalesce(disabled_at, ${now})` })
        .where('id', '=', id)
        .executeTakeFirst()
      return numUpdatedRows > 0n
    },

    async enable(id) {
      const { numUpdatedRows } = await db
        .updateTable('users')
        .set({ disabled_at: null })
        .where('id', '=', id)
        .executeTakeFirst()
      return numUpdatedRows > 0n
    },

    async delete(id) {
      const { numDeletedRows } = await db
        .deleteFrom('users')
        .where('id', '=', id)
        .where('disabled_at', 'is not', null)
        .executeTakeFirst()
      return numDeletedRows > 0n
    },
  }

  async function rehash(found: UserRow, stronger: string): Promise<void> {
    await db
      .updateTable('users')
      .set({ password_hash: stronger })
      .where('id', '=', found.id)
      // The password may have been changed meanwhile: that one stays.
      .where('password_hash', '=', found.password_hash)
      .execute()
  }
}

function toUser(row: UserRow): User {
  return {
    id: row.id,
    username: row.username,
    roles: JSON.parse(row.roles),
    disabled: row.disabled_at !== null,
    passwordVersion: row.password_version,
    createdAt: row.created_at,
  }
}
