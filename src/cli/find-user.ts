import type { User, Users } from '../users/users.js'
import { CommandError } from './command.js'

/** The sentence of the help. */
export const USER =
  'USER is a name or an id. If it is the name of one account and the id of another, write name:USER or id:USER.'

/**
 * The account with this id or this name. An id of another system may be the name of another account: a command must not delete
 * the wrong one.
 */
export async function findUser(users: Users, nameOrId: string): Promise<User> {
  // No name has a colon. An id may have one, so `name:ada` is first looked for as an id.
  const [byId, byName] = [await users.find(nameOrId), await users.findByName(nameOrId)]
  if (byId && byName && byId.id !== byName.id) {
    const text = JSON.stringify(nameOrId)
    throw new CommandError(`${text} is the id of one account and the name of another: write id:USER or name:USER`)
  }
  const found = byId ?? byName ?? (await findWithPrefix(users, nameOrId))
  if (!found) throw new CommandError(`there is no account ${JSON.stringify(nameOrId)}`)
  return found
}

async function findWithPrefix(users: Users, text: string): Promise<User | undefined> {
  if (text.startsWith('id:')) return users.find(text.slice('id:'.length))
  return text.startsWith('name:') ? users.findByName(text.slice('name:'.length)) : undefined
}
