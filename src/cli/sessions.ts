import { toUnixSeconds } from '../unix-seconds.js'
import { command, group, table, time, UsageError } from './command.js'
import { findUser, USER } from './find-user.js'
import { withServices } from './services.js'

const list = command({
  about: 'List the sessions of an account',
  names: ['USER'],
  details: USER,
  async run({ names: [name] }) {
    const live = await withServices(async ({ users, sessions }) => sessions.list((await findUser(users, name)).id))
    return {
      text: table(
        live.map((session) => ({
          sid: session.sid,
          device: session.deviceName ?? '',
          client: session.clientId,
          ip: session.ip,
          'user agent': session.userAgent ?? '',
          began: time(session.createdAt),
          'last seen': time(session.lastSeenAt),
          expires: time(session.expiresAt),
        })),
        'There are no sessions.',
      ),
      json: {
        sessions: live.map((session) => ({
          sid: session.sid,
          client_id: session.clientId,
          scope: session.scope,
          device_name: session.deviceName,
          ip: session.ip,
          user_agent: session.userAgent,
          created_at: toUnixSeconds(session.createdAt),
          last_seen_at: toUnixSeconds(session.lastSeenAt),
          expires_at: toUnixSeconds(session.expiresAt),
        })),
      },
    }
  },
})

const revoke = command({
  about: 'End named sessions of an account, or all of them',
  names: ['USER'],
  more: 'SID',
  details: `${USER} When the command has answered, /introspect and /verify refuse the tokens of these sessions.`,
  options: { all: { type: 'boolean', about: 'end all sessions of the account' } },
  async run({ names: [name], more: sids, options: { all } }) {
    if (all === sids.length > 0) throw new UsageError('name one or more SID, or use --all')
    const { sub, ended } = await withServices(async ({ users, sessions }) => {
      const { id } = await findUser(users, name)
      return { sub: id, ended: await (all ? sessions.revokeAll(id) : sessions.revoke(id, sids)) }
    })
    return {
      text: ended.length === 0 ? 'No such session was alive.' : `Ended: ${ended.join(' ')}`,
      json: { ended },
      audit: [{ event: 'session.ended', sub, sids: ended, reason: 'ended_by_admin' }],
    }
  },
})

export const sessions = group('Manage sessions: one session is one sign-in on one device', { list, revoke })
