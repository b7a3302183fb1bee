import type { SessionStore } from '../sessions/session.js'
import type { Users } from '../users/users.js'

interface Needs {
  users: Users
  sessions: SessionStore
}

// Each of these writes the account first and ends its sessions after: a sign-in that comes in between finds the account
// changed, and ends its own session. If the sessions' store is away, the change holds and may be asked for again.

/** Answers with the sessions that it ended, or undefined where there is no such account. */
export async function disableAccount({ users, sessions }: Needs, id: string): Promise<string[] | undefined> {
  return (await users.disable(id)) ? sessions.endAll(id) : undefined
}

/**
 * Deletes an account. Answers whether there was one. Deleted last: if the sessions' store is away, it is still there and this
 * can be asked for again. And only while it is disabled: where somebody enables it in between, a sign-in gets through, and
 * its session would outlive the account; so then it begins again.
 */
export async function deleteAccount(users: Users, id: string, endSessions: () => Promise<unknown>): Promise<boolean> {
  let isThere = false
  while (await users.disable(id)) {
    isThere = true
    await endSessions()
    if (await users.delete(id)) break
  }
  return isThere
}

/** Answers as {@link disableAccount} does. Whoever knew the old password may have signed in with it. */
export async function resetPassword(
  { users, sessions }: Needs,
  id: string,
  secret: { password: string } | { passwordHash: string },
  address?: string,
): Promise<string[] | undefined> {
  const isSet =
    'password' in secret
      ? users.setPassword(id, secret.password, address)
      : users.setPasswordHash(id, secret.passwordHash)
  return (await isSet) ? sessions.endAll(id) : undefined
}

/**
 * Answers as {@link disableAccount} does. Roles stay with a session: those that have a role which the account has no longer
 * end. The others go on, and the next sign-in has what was added.
 */
export async function changeRoles(
  { users, sessions }: Needs,
  id: string,
  roles: readonly string[],
): Promise<string[] | undefined> {
  if (!(await users.setRoles(id, [...new Set(roles)]))) return undefined
  const living = await sessions.list(id)
  const outdated = living.filter((session) => !session.roles.every((role) => roles.includes(role)))
  return sessions.end(
    id,
    outdated.map(({ sid }) => sid),
  )
}
