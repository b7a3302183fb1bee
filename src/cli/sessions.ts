import { CommandError, command, group, seconds, table, time } from './command.js'
import { withServices } from './services.js'
import { findUser } from './user.js'

const list = command({
  about: 'List the sessions of an account',
  names: ['USER'],
  details: 'USER is a name or an id.',
  async run({ names: [name] }) {
    const living = await withServices(async ({ users, sessions }) => sessions.list((await findUser(users, name)).id))
    return {
      text: table(
        living.map((session) => ({
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
        sessions: living.map((session) => ({
          sid: session.sid,
          client_id: session.clientId,
          scope: session.scope,
          device_name: session.deviceName,
          ip: session.ip,
          user_agent: session.userAgent,
          created_at: seconds(session.createdAt),
          last_seen_at: seconds(session.lastSeenAt),
          expires_at: seconds(session.expiresAt),
        })),
      },
    }
  },
})

const revoke = command({
  about: 'End sessions of an account: those named, or all',
  names: ['USER'],
  more: 'SID',
  details: 'USER is a name or an id. Their tokens are refused from the moment that this answers.',
  options: { all: { type: 'boolean', about: 'all of its sessions' } },
  async run({ names: [name], more: sids, options: { all } }) {
    if (all === sids.length > 0) throw new CommandError('name sessions, or say --all')
    const ended = await withServices(async ({ users, sessions }) => {
      const { id } = await findUser(users, name)
      return all ? sessions.revokeAll(id) : sessions.revoke(id, sids)
    })
    return {
      text: ended.length === 0 ? 'No such session was alive.' : `Ended: ${ended.join(' ')}`,
      json: { ended },
    }
  },
})

export const sessions = group('Sessions: one sign-in on one device each', { list, revoke })
