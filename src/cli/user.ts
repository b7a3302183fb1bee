import type { User, Users } from '../users/users.js'
import { CommandError } from './command.js'

/** The account that USER means: its id, or its name. */
export async function findUser(users: Users, nameOrId: string): Promise<User> {
  const found = (await users.find(nameOrId)) ?? (await users.findByName(nameOrId))
  if (!found) throw new CommandError(`there is no account ${JSON.stringify(nameOrId)}`)
  return found
}
