import type { Database } from '../database/database.js'
import type { UserRow } from '../database/schema.js'
import { shownUsername, usernameKey, usernameSkeleton } from './username.js'

/**
 * Gives an account another name. `taken`: another account has this name, or one that looks like it. Undefined: no such account.
 * One statement checks and writes. Of two simultaneous changes to one name, the second may fail at the unique index.
 */
export async function renameRow(
  db: Database['db'],
  id: string,
  username: string,
): Promise<UserRow | 'taken' | undefined> {
  const [name, skeleton] = [usernameKey(username), usernameSkeleton(username)]
  const renamed = await db
    .updateTable('users')
    .set({ username: shownUsername(username), username_key: name, username_skeleton: skeleton })
    .where('id', '=', id)
    .where(({ not, exists, selectFrom }) =>
      not(
        exists(
          selectFrom('users as other')
            .select('other.id')
            .where('other.id', '<>', id)
            .where((where) => where.or({ 'other.username_key': name, 'other.username_skeleton': skeleton })),
        ),
      ),
    )
    .returningAll()
    .executeTakeFirst()
  if (renamed) return renamed
  const existing = await db.selectFrom('users').select('id').where('id', '=', id).executeTakeFirst()
  return existing && 'taken'
}
