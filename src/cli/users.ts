import { changeRoles, deleteAccount, disableAccount, resetPassword as setPassword } from '../administration/accounts.js'
import { brokenPasswordRule, passwordRuleText } from '../users/password.js'
import { brokenRoleRule } from '../users/role.js'
import { brokenUsernameRule, usernameRules } from '../users/username.js'
import type { User } from '../users/users.js'
import { CommandError, command, group, type Output, seconds, table, time } from './command.js'
import { importUsers } from './import.js'
import { readPassword } from './password.js'
import { withRooms } from './rooms.js'
import { findUser } from './user.js'

const create = command({
  about: 'Make an account; the password comes from standard input',
  names: ['NAME'],
  options: {
    role: { type: 'string', multiple: true, value: 'ROLE', about: 'a role in its tokens; may be repeated' },
  },
  async run({ names: [username], options }) {
    const nameRule = brokenUsernameRule(username)
    if (nameRule) throw new CommandError(usernameRules[nameRule])
    const roles = rolesOf(options.role)
    const password = await readPassword()
    const user = await withRooms(async ({ users, config: { passwordMinLength: minLength } }) => {
      const passwordRule = await brokenPasswordRule(password, { username, minLength })
      if (passwordRule) throw new CommandError(passwordRuleText(passwordRule, minLength))
      return users.create(username, password, roles)
    })
    if (user === 'taken')
      throw new CommandError('there is an account with this user name, or with one that looks like it')
    return told('is made', user)
  },
})

const list = command({
  about: 'List the accounts, by name',
  options: {
    limit: { type: 'string', value: 'NUMBER', about: 'how many; 100 if not given' },
    after: { type: 'string', value: 'NAME', about: 'those after this name: the last of the page before' },
  },
  async run({ options: { limit: given = '100', after } }) {
    const limit = Number(given)
    if (!/^\d{1,5}$/.test(given) || limit < 1) throw new CommandError('--limit must be a number from 1 to 99999')
    const users = await withRooms((rooms) => rooms.users.list({ limit, after }))
    const next = users.length === limit ? users.at(-1)?.username : undefined
    return {
      text: [
        table(
          users.map(({ username, id, roles, disabled, createdAt }) => ({
            name: username,
            id,
            roles: roles.join(' '),
            state: disabled ? 'disabled' : 'enabled',
            created: time(createdAt),
          })),
          'There are no accounts.',
        ),
        ...(next === undefined ? [] : ['', `There may be more: --after ${next}`]),
      ].join('\n'),
      json: { users: users.map(toJson), next: next ?? null },
    }
  },
})

const disable = command({
  about: 'Disable an account and end its sessions',
  names: ['USER'],
  details: 'USER is a name or an id.',
  async run({ names: [name] }) {
    const user = await withRooms(async (rooms) => {
      const found = await findUser(rooms.users, name)
      await disableAccount(rooms, found.id)
      return { ...found, disabled: true }
    })
    return told('is disabled, and its sessions have ended', user)
  },
})

const enable = command({
  about: 'Enable an account again',
  names: ['USER'],
  details: 'USER is a name or an id.',
  async run({ names: [name] }) {
    const user = await withRooms(async ({ users }) => {
      const found = await findUser(users, name)
      await users.enable(found.id)
      return { ...found, disabled: false }
    })
    return told('is enabled', user)
  },
})

const remove = command({
  about: 'Delete an account and end its sessions',
  names: ['USER'],
  details: 'USER is a name or an id. There is no way back.',
  async run({ names: [name] }) {
    const user = await withRooms(async (rooms) => {
      const found = await findUser(rooms.users, name)
      await deleteAccount(rooms.users, found.id, () => rooms.sessions.endAll(found.id))
      return found
    })
    return {
      text: `The account ${user.username} (${user.id}) is deleted, and its sessions have ended.`,
      json: { id: user.id, username: user.username, deleted: true },
    }
  },
})

const resetPassword = command({
  about: 'Give an account another password, and end its sessions; the password comes from standard input',
  names: ['USER'],
  details: 'USER is a name or an id.',
  async run({ names: [name] }) {
    const password = await readPassword()
    const user = await withRooms(async (rooms) => {
      const found = await findUser(rooms.users, name)
      const { passwordMinLength: minLength } = rooms.config
      const rule = await brokenPasswordRule(password, { username: found.username, minLength })
      if (rule) throw new CommandError(passwordRuleText(rule, minLength))
      await setPassword(rooms, found.id, { password })
      return found
    })
    return told('has its new password, and its sessions have ended', user)
  },
})

const roles = command({
  about: 'Set the roles of an account: those named, and no others',
  names: ['USER'],
  more: 'ROLE',
  details: `
USER is a name or an id. Sessions with a role that is taken away end. What is added stands in the tokens of the next sign-in.
With no ROLE named, the account has none.`,
  async run({ names: [name], more }) {
    const given = rolesOf(more)
    const user = await withRooms(async (rooms) => {
      const found = await findUser(rooms.users, name)
      await changeRoles(rooms, found.id, given)
      return { ...found, roles: given }
    })
    return told(given.length === 0 ? 'has no role' : `has the roles ${given.join(' ')}`, user)
  },
})

function rolesOf(given: readonly string[]): string[] {
  const unique = [...new Set(given)]
  const rule = brokenRoleRule(unique)
  if (rule) throw new CommandError(rule)
  return unique
}

function told(what: string, user: User): Output {
  return { text: `The account ${user.username} (${user.id}) ${what}.`, json: toJson(user) }
}

function toJson({ id, username, roles, disabled, createdAt }: User) {
  return { id, username, roles, disabled, created_at: seconds(createdAt) }
}

export const users = group('Accounts', {
  create,
  list,
  'reset-password': resetPassword,
  roles,
  disable,
  enable,
  delete: remove,
  import: importUsers,
})
