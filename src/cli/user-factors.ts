import { requireMfa, resetFactors } from '../lifecycle/accounts.js'
import { toUnixSeconds } from '../unix-seconds.js'
import { command, table, time, UsageError } from './command.js'
import { findUser, USER } from './find-user.js'
import { withServices } from './services.js'

export const listFactors = command({
  about: 'List the second factors of an account',
  names: ['USER'],
  details: USER,
  async run({ names: [name] }) {
    const { user, list } = await withServices(async ({ users, factors }) => {
      const user = await findUser(users, name)
      return { user, list: await factors.list(user.id) }
    })
    const rows = list.factors.map((factor) => ({
      id: factor.id,
      type: factor.type,
      name: factor.name ?? '',
      created: time(factor.createdAt),
      'last used': factor.lastUsedAt === undefined ? 'never' : time(factor.lastUsedAt),
    }))
    return {
      text: [
        table(rows, `The account ${user.username} has no second factor.`),
        ...(list.factors.length === 0 ? [] : ['', `Recovery codes left: ${list.recoveryCodes}`]),
        ...(user.mfaRequired ? ['', 'The account must sign in with two factors.'] : []),
      ].join('\n'),
      json: {
        factors: list.factors.map(({ id, type, name: label, createdAt, lastUsedAt }) => ({
          id,
          type,
          name: label,
          created_at: toUnixSeconds(createdAt),
          last_used_at: lastUsedAt === undefined ? null : toUnixSeconds(lastUsedAt),
        })),
        recovery_codes_left: list.recoveryCodes,
        mfa_required: user.mfaRequired,
      },
    }
  },
})

export const resetUserFactors = command({
  about: 'Remove every second factor of an account, and end its sessions',
  names: ['USER'],
  details: `${USER} For a person who lost their factors: the recovery codes go too.`,
  async run({ names: [name], record }) {
    const { user, sids } = await withServices(async (services) => {
      const found = await findUser(services.users, name)
      const onChange = () => record({ event: 'factor.reset', sub: found.id })
      return { user: found, sids: (await resetFactors(services, found.id, onChange)) ?? [] }
    })
    return {
      text: `The account ${user.username} (${user.id}) has no second factor now, and its sessions have ended.`,
      json: { id: user.id, username: user.username, factors: 0 },
      audit: [{ event: 'session.ended', sub: user.id, sids, reason: 'factors_reset' }],
    }
  },
})

export const requireUserMfa = command({
  about: 'Say whether an account must sign in with two factors',
  names: ['USER', 'ON'],
  details: `${USER} ON is on or off. With on, each session with one factor ends.`,
  async run({ names: [name, on], record }) {
    if (on !== 'on' && on !== 'off') throw new UsageError('write on or off after the account')
    const { user, sids } = await withServices(async (services) => {
      const found = await findUser(services.users, name)
      const onChange = () => record({ event: 'user.mfa_changed', sub: found.id, required: on === 'on' })
      return { user: found, sids: (await requireMfa(services, found.id, on === 'on', onChange)) ?? [] }
    })
    const what = on === 'on' ? 'must sign in with two factors' : 'may sign in with one factor'
    return {
      text: `The account ${user.username} (${user.id}) ${what}.`,
      json: { id: user.id, username: user.username, mfa_required: on === 'on' },
      audit: [{ event: 'session.ended', sub: user.id, sids, reason: 'mfa_required' }],
    }
  },
})
