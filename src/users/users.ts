import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import type { Database } from '../database/database.js'
import type { UserRow } from '../database/schema.js'
import type { PasswordHashing } from './password.js'
import { usernameKey } from './username.js'

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
  /** Makes an account, or answers `taken`. The name and the password have been checked against their rules. */
  create(username: string, password: string, roles?: readonly string[]): Promise<User | 'taken'>
  find(id: string): Promise<User | undefined>
  findByName(username: string): Promise<User | undefined>
  /** A page of the accounts, in the order of their names: at most `limit`, of those after the name `after`. */
  list(page: { limit: number; after?: string | undefined }): Promise<User[]>
  /** Checks a user name and a password. Takes the same time for an unknown, a wrong and a disabled one. */
  signIn(username: string, password: string): Promise<SignIn>
  /**
   * Whether a sign-in that was accepted as `user` still holds: the account lives, is enabled, and has the same password.
   * Ask it after the session has been made. Whoever disables the account writes that first and ends its sessions after:
   * so either we see it here, or they see our session.
   */
  isCurrent(user: User): Promise<boolean>
  isPassword(id: string, password: string): Promise<boolean>
  /**
   * Answers whether it did: not where the password has changed since `user` was read. Of two changes at once the first
   * holds, and the second, which knew an old password alone, cannot undo it.
   */
  changePassword(user: User, password: string): Promise<boolean>
  /** Answers whether there is such an account. End its sessions after, not before. */
  disable(id: string): Promise<boolean>
  enable(id: string): Promise<boolean>
  /** Answers whether there was such an account. End its sessions after, not before. */
  delete(id: string): Promise<boolean>
}

export function createUsers({ db, now }: Database, hashing: PasswordHashing): Users {
  const row = (id: string) => db.selectFrom('users').selectAll().where('id', '=', id).executeTakeFirst()

  async function rowByName(username: string): Promise<UserRow | undefined> {
    const key = usernameKey(username)
    // Postgres refuses a NUL in a text, and no account has one in its name.
    if (key.includes('\0')) return undefined
    return db.selectFrom('users').selectAll().where('username_key', '=', key).executeTakeFirst()
  }

  return {
    async create(username, password, roles = []) {
      const inserted = await db
        .insertInto('users')
        .values({
          id: randomUUID(),
          username: username.normalize('NFC'),
          username_key: usernameKey(username),
          password_hash: await hashing.hash(password),
          password_version: 1,
          roles: JSON.stringify(roles),
          disabled_at: null,
          created_at: now,
        })
        .onConflict((conflict) => conflict.column('username_key').doNothing())
        .returningAll()
        .executeTakeFirst()
      return inserted ? toUser(inserted) : 'taken'
    },

    async find(id) {
      const found = await row(id)
      return found && toUser(found)
    },

    async findByName(username) {
      const found = await rowByName(username)
      return found && toUser(found)
    },

    async list({ limit, after = '' }) {
      const rows = await db
        .selectFrom('users')
        .selectAll()
        .where('username_key', '>', usernameKey(after).replaceAll('\0', ''))
        .orderBy('username_key')
        .limit(limit)
        .execute()
      return rows.map(toUser)
    },

    async signIn(username, password) {
      const found = await rowByName(username)
      const matches = await hashing.verify(found?.password_hash, password)
      if (!found) return { outcome: 'refused', reason: 'unknown_user' }
      if (!matches) return { outcome: 'refused', reason: 'wrong_password', sub: found.id }
      if (found.disabled_at !== null) return { outcome: 'refused', reason: 'disabled', sub: found.id }
      if (hashing.isOutdated(found.password_hash)) await rehash(found, password)
      return { outcome: 'accepted', user: toUser(found) }
    },

    async isCurrent(user) {
      const found = await row(user.id)
      return found?.disabled_at === null && found.password_version === user.passwordVersion
    },

    async isPassword(id, password) {
      return hashing.verify((await row(id))?.password_hash, password)
    },

    async changePassword({ id, passwordVersion }, password) {
      const { numUpdatedRows } = await db
        .updateTable('users')
        .set({
          password_hash: await hashing.hash(password),
          password_version: sql<number>`password_version + 1`,
        })
        .where('id', '=', id)
        .where('password_version', '=', passwordVersion)
        .executeTakeFirst()
      return numUpdatedRows > 0n
    },

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
      const { numDeletedRows } = await db.deleteFrom('users').where('id', '=', id).executeTakeFirst()
      return numDeletedRows > 0n
    },
  }

  async function rehash(found: UserRow, password: string): Promise<void> {
    const stronger = await hashing.hash(password)
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
