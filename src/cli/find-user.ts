import type { User, Users } from '../users/users.js'
import { CommandError } from './command.js'

/** The account with this id or, if none has it, with this name. */
export async function findUser(users: Users, nameOrId: string): Promise<User> {
  const found = (await users.find(nameOrId)) ?? (await users.findByName(nameOrId))
  if (!found) throw new CommandError(`there is no account ${JSON.stringify(nameOrId)}`)
  return found
}
