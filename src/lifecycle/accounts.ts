import type { Factors } from '../factors/factor.js'
import type { SessionStore } from '../sessions/session.js'
import type { User, Users } from '../users/users.js'

interface FactorDependencies extends Pick<Dependencies, 'sessions'> {
  factors: Factors
}

interface Dependencies {
  users: Users
  sessions: SessionStore
}

/**
 * Ends every session of an account. The calling session ends last, so that the caller can retry when the session store fails in
 * between. Returns the ids of the sessions that it ended.
 */
export async function revokeAllCallerLast(
  sessions: SessionStore,
  { sub, sid }: { sub: string; sid: string },
): Promise<string[]> {
  const others = await sessions.revokeAll(sub, sid)
  return [...others, ...(await sessions.revoke(sub, [sid]))]
}

// Each function below changes the account first and ends its sessions after. A sign-in in between finds the changed account, and
// ends its own session. When the session store is down, the change holds and the caller may retry. So each calls `onChange`
// between the two: the audit log has every change that holds.

/** Returns the ids of the sessions that it ended, or undefined when the account does not exist. */
export async function disableAccount(
  { users, sessions }: Dependencies,
  id: string,
  onChange: () => void,
): Promise<string[] | undefined> {
  if (!(await users.disable(id))) return undefined
  onChange()
  return sessions.revokeAll(id)
}

/**
 * Deletes an account. Returns whether it existed. The deletion comes last, so that a caller may retry after the session store
 * was down. Only a disabled account is deleted. When somebody enables it in between, a sign-in may succeed and its session
 * would outlive the account. Then this function starts again.
 *
 * @param onDisabledOnly is called if the account is disabled and a store fails before it is deleted
 */
export async function deleteAccount(
  users: Users,
  id: string,
  endSessions: () => Promise<unknown>,
  onDisabledOnly: () => void,
): Promise<boolean> {
  let existed = false
  while (await users.disable(id)) {
    existed = true
    try {
      await endSessions()
      if (await users.delete(id)) break
    } catch (error) {
      onDisabledOnly()
      throw error
    }
  }
  return existed
}

/** Returns what {@link disableAccount} returns. All sessions end: somebody may have signed in with a stolen old password. */
export async function resetPassword(
  { users, sessions }: Dependencies,
  id: string,
  secret: { password: string } | { passwordHash: string },
  onChange: () => void,
  address?: string,
): Promise<string[] | undefined> {
  const isSet =
    'password' in secret
      ? users.setPassword(id, secret.password, address)
      : users.setPasswordHash(id, secret.passwordHash)
  if (!(await isSet)) return undefined
  onChange()
  return sessions.revokeAll(id)
}

/**
 * Returns what {@link disableAccount} returns. A session keeps its roles, so each session with a removed role ends. The other
 * sessions go on, and the next sign-in has the added roles.
 */
export async function changeRoles(
  { users, sessions }: Dependencies,
  id: string,
  roles: readonly string[],
  onChange: () => void,
): Promise<string[] | undefined> {
  if (!(await users.setRoles(id, [...new Set(roles)]))) return undefined
  onChange()
  const living = await sessions.list(id)
  const outdated = living.filter((session) => !session.roles.every((role) => roles.includes(role)))
  return sessions.revoke(
    id,
    outdated.map(({ sid }) => sid),
  )
}

/** Returns what {@link disableAccount} returns. All sessions end: somebody else may have the factor that was reset. */
export async function resetFactors(
  { factors, sessions }: FactorDependencies,
  id: string,
  onChange: () => void,
): Promise<string[] | undefined> {
  if (!(await factors.reset(id))) return undefined
  onChange()
  return sessions.revokeAll(id)
}

/** Returns what {@link disableAccount} returns. When two factors become required, each session with one factor ends. */
export async function requireMfa(
  { users, sessions }: Dependencies,
  id: string,
  isRequired: boolean,
  onChange: () => void,
): Promise<string[] | undefined> {
  if (!(await users.setMfaRequired(id, isRequired))) return undefined
  onChange()
  if (!isRequired) return []
  const weak = (await sessions.list(id)).filter(({ amr }) => !amr.includes('mfa'))
  return sessions.revoke(
    id,
    weak.map(({ sid }) => sid),
  )
}

/**
 * Renames an account, then its living sessions. A sign-in in between finds the other name, and ends its own session. The caller
 * checked the name.
 */
export async function renameAccount(
  { users, sessions }: Dependencies,
  id: string,
  username: string,
  onChange: (user: User) => void,
): Promise<User | 'taken' | undefined> {
  const user = await users.rename(id, username)
  if (typeof user !== 'object') return user
  onChange(user)
  await sessions.renameUser(id, user.username)
  return user
}
