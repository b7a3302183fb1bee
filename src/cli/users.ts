import type { AuditEvent } from '../audit.js'
import {
  changeRoles,
  deleteAccount,
  disableAccount,
  renameAccount,
  resetPassword as setPassword,
} from '../lifecycle/accounts.js'
import { toUnixSeconds } from '../unix-seconds.js'
import { parseAccountClaims } from '../users/account-claims.js'
import { brokenPasswordRule, passwordRuleText } from '../users/password-rules.js'
import { brokenRoleRule } from '../users/role.js'
import { isUserId, USER_ID_RULE } from '../users/user-id.js'
import { brokenUsernameRule, usernameRules } from '../users/username.js'
import type { User } from '../users/users.js'
import { CommandError, command, group, type Output, table, time } from './command.js'
import { exportUsers } from './export.js'
import { findUser, USER } from './find-user.js'
import { importUsers } from './import.js'
import { readPassword } from './read-password.js'
import { withServices } from './services.js'
import { listFactors, requireUserMfa, resetUserFactors } from './user-factors.js'

const create = command({
  about: 'Create an account; the password comes from standard input',
  names: ['NAME'],
  options: {
    role: { type: 'string', multiple: true, value: 'ROLE', about: 'a role of the account; may be repeated' },
    id: { type: 'string', value: 'ID', about: 'the id, which is the sub of its tokens; default: a UUID' },
    claims: { type: 'string', value: 'JSON', about: 'claims of the account' },
  },
  async run({ names: [username], options }) {
    requireUsername(username)
    const roles = parseRoles(options.role)
    const { id } = options
    if (id !== undefined && !isUserId(id)) throw new CommandError(USER_ID_RULE)
    const claims = parseClaims(options.claims ?? '{}')
    const password = await readPassword()
    const user = await withServices(async ({ users, config: { passwordMinLength: minLength } }) => {
      const passwordRule = await brokenPasswordRule(password, { username, minLength })
      if (passwordRule) throw new CommandError(passwordRuleText(passwordRule, minLength))
      return users.create({ username, password, roles, id, claims })
    }, 'create')
    if (user === 'id_taken') throw new CommandError('there is an account or a client with this id')
    if (user === 'taken')
      throw new CommandError('there is an account with this user name, or with a name that looks like it')
    return describeChange('is created', user, { event: 'user.created', sub: user.id })
  },
})

const list = command({
  about: 'List the accounts in the order of their names',
  options: {
    limit: { type: 'string', value: 'NUMBER', about: 'the greatest number of accounts; default 100' },
    after: { type: 'string', value: 'NAME', about: 'start after this name: the last one of the previous page' },
  },
  async run({ options: { limit: given = '100', after } }) {
    const limit = Number(given)
    if (!/^\d{1,5}$/.test(given) || limit < 1) throw new CommandError('--limit must be a number from 1 to 99999')
    const users = await withServices((services) => services.users.list({ limit, after }))
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

const show = command({
  about: 'Show an account',
  names: ['USER'],
  details: USER,
  async run({ names: [name] }) {
    const user = await withServices(({ users }) => findUser(users, name))
    const { id, username, roles, disabled, createdAt, claims } = user
    const lines = {
      name: username,
      id,
      roles: roles.join(' ') || '-',
      state: disabled ? 'disabled' : 'enabled',
      created: time(createdAt),
      claims: JSON.stringify(claims),
    }
    return {
      text: Object.entries(lines)
        .map(([what, text]) => `${what.padEnd(9)}${text}`)
        .join('\n'),
      json: toJson(user),
    }
  },
})

const rename = command({
  about: 'Rename an account; its sessions go on',
  names: ['USER', 'NAME'],
  details: USER,
  async run({ names: [name, username], record }) {
    requireUsername(username)
    const user = await withServices(async (services) => {
      const found = await findUser(services.users, name)
      return renameAccount(services, found.id, username, (renamed) =>
        record({ event: 'user.renamed', sub: renamed.id, username: renamed.username }),
      )
    })
    if (user === 'taken') throw new CommandError('another account has this user name, or one that looks like it')
    if (!user) throw new CommandError('the account was deleted just now')
    return describeChange('has its new name', user)
  },
})

const claims = command({
  about: 'Set the claims of an account',
  names: ['USER', 'JSON'],
  details: `
${USER} JSON is an object such as '{"tenant":"acme"}', and replaces all claims. Tokens carry those that ACCOUNT_CLAIMS
names. A living session has the new claims after its next refresh.`,
  async run({ names: [name, json] }) {
    const given = parseClaims(json)
    const user = await withServices(async ({ users }) => {
      const found = await findUser(users, name)
      await users.setClaims(found.id, given)
      return { ...found, claims: given }
    })
    const event = { event: 'user.claims_changed', sub: user.id, claims: Object.keys(given) } as const
    return describeChange(`has the claims ${JSON.stringify(given)}`, user, event)
  },
})

const disable = command({
  about: 'Disable an account and end its sessions',
  names: ['USER'],
  details: USER,
  async run({ names: [name], record }) {
    const { user, sids } = await withServices(async (services) => {
      const found = await findUser(services.users, name)
      const onChange = () => record({ event: 'user.disabled', sub: found.id })
      const sids = (await disableAccount(services, found.id, onChange)) ?? []
      return { user: { ...found, disabled: true }, sids }
    })
    return describeChange('is disabled, and its sessions have ended', user, {
      event: 'session.ended',
      sub: user.id,
      sids,
      reason: 'user_disabled',
    })
  },
})

const enable = command({
  about: 'Enable an account again',
  names: ['USER'],
  details: USER,
  async run({ names: [name] }) {
    const user = await withServices(async ({ users }) => {
      const found = await findUser(users, name)
      await users.enable(found.id)
      return { ...found, disabled: false }
    })
    return describeChange('is enabled', user, { event: 'user.enabled', sub: user.id })
  },
})

const remove = command({
  about: 'Delete an account and end its sessions',
  names: ['USER'],
  details: `${USER} You cannot undo this.`,
  async run({ names: [name], record }) {
    const ended = new Set<string>()
    const user = await withServices(async (services) => {
      const found = await findUser(services.users, name)
      const endSessions = async () => {
        for (const sid of await services.sessions.revokeAll(found.id)) ended.add(sid)
      }
      const onDisabledOnly = () => record({ event: 'user.disabled', sub: found.id })
      await deleteAccount(services.users, found.id, endSessions, onDisabledOnly)
      return found
    })
    return {
      text: `The account ${user.username} (${user.id}) is deleted, and its sessions have ended.`,
      json: { id: user.id, username: user.username, deleted: true },
      audit: [
        { event: 'user.deleted', sub: user.id },
        { event: 'session.ended', sub: user.id, sids: [...ended], reason: 'user_deleted' },
      ],
    }
  },
})

const resetPassword = command({
  about: 'Replace the password of an account, and end its sessions; the password comes from standard input',
  names: ['USER'],
  details: USER,
  async run({ names: [name], record }) {
    const password = await readPassword()
    const { user, sids } = await withServices(async (services) => {
      const found = await findUser(services.users, name)
      const { passwordMinLength: minLength } = services.config
      const rule = await brokenPasswordRule(password, { username: found.username, minLength })
      if (rule) throw new CommandError(passwordRuleText(rule, minLength))
      const onChange = () => record({ event: 'user.password_reset', sub: found.id })
      return { user: found, sids: (await setPassword(services, found.id, { password }, onChange)) ?? [] }
    })
    return describeChange('has its new password, and its sessions have ended', user, {
      event: 'session.ended',
      sub: user.id,
      sids,
      reason: 'password_reset',
    })
  },
})

const roles = command({
  about: 'Set the roles of an account to the named roles',
  names: ['USER'],
  more: 'ROLE',
  details: `
${USER} Sessions with a removed role end. An added role is in the tokens of the next sign-in. Without a ROLE,
the command removes all roles.`,
  async run({ names: [name], more, record }) {
    const given = parseRoles(more)
    const { user, sids } = await withServices(async (services) => {
      const found = await findUser(services.users, name)
      const onChange = () => record({ event: 'user.roles_changed', sub: found.id, roles: given })
      const sids = (await changeRoles(services, found.id, given, onChange)) ?? []
      return { user: { ...found, roles: given }, sids }
    })
    return describeChange(given.length === 0 ? 'has no role' : `has the roles ${given.join(' ')}`, user, {
      event: 'session.ended',
      sub: user.id,
      sids,
      reason: 'roles_changed',
    })
  },
})

function requireUsername(username: string): void {
  const rule = brokenUsernameRule(username)
  if (rule) throw new CommandError(usernameRules[rule])
}

function parseClaims(json: string) {
  const claims = parseAccountClaims(json)
  if (typeof claims === 'string') throw new CommandError(claims)
  return claims
}

function parseRoles(given: readonly string[]): string[] {
  const unique = [...new Set(given)]
  const rule = brokenRoleRule(unique)
  if (rule) throw new CommandError(rule)
  return unique
}

function describeChange(what: string, user: User, ...audit: AuditEvent[]): Output {
  return { text: `The account ${user.username} (${user.id}) ${what}.`, json: toJson(user), audit }
}

function toJson({ id, username, roles, disabled, createdAt, claims }: User) {
  return { id, username, roles, disabled, created_at: toUnixSeconds(createdAt), claims }
}

export const users = group('Manage accounts', {
  create,
  list,
  show,
  rename,
  claims,
  'reset-password': resetPassword,
  roles,
  factors: listFactors,
  'reset-factors': resetUserFactors,
  mfa: requireUserMfa,
  disable,
  enable,
  delete: remove,
  import: importUsers,
  export: exportUsers,
})
