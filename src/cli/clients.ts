import { generateClientSecret, isClientId } from '../clients/clients.js'
import { duration } from '../config/duration.js'
import { createClient, deleteClient } from '../lifecycle/clients.js'
import { isScopeToken } from '../scope.js'
import { CommandError, command, group, seconds, table, time } from './command.js'
import { withServices } from './services.js'

const create = command({
  about: 'Make a client, and show its secret, once',
  details: `
A client with the scope introspect may ask /introspect; with admin, /admin. Any other scope is for the tokens that it gets
for itself. With audiences, introspection tells it of tokens for these alone.`,
  names: ['ID'],
  options: {
    scope: { type: 'string', multiple: true, value: 'SCOPE', about: 'a scope that it may have; may be repeated' },
    audience: { type: 'string', multiple: true, value: 'AUDIENCE', about: 'an audience that it sees; may be repeated' },
  },
  async run({ names: [id], options }) {
    if (!isClientId(id)) {
      throw new CommandError('ID must be 1 to 64 letters, digits, dots, dashes and underscores, and not latchkey')
    }
    const scopes = words(options.scope, 'scope')
    const audiences = words(options.audience, 'audience')
    const secret = generateClientSecret()
    const isMade = await withServices((services) => createClient(services, { id, secret }, { scopes, audiences }))
    if (!isMade) throw new CommandError(`there is a client ${id}: rotate gives it a new secret`)
    return {
      text: `The client ${id} is made. Its secret, which is not shown again:\n${secret}`,
      json: { id, secret, scopes, audiences },
    }
  },
})

const list = command({
  about: 'List the clients',
  async run() {
    const all = await withServices(({ clients }) => clients.list())
    const rows = all.map((client) => ({ ...client, scopes: [...client.scopes], audiences: [...client.audiences] }))
    return {
      text: table(
        rows.map(({ id, scopes, audiences, createdAt, previousSecretUntil }) => ({
          id,
          scopes: scopes.join(' '),
          audiences: audiences.join(' ') || 'all',
          created: time(createdAt),
          'old secret until': time(previousSecretUntil),
        })),
        'There are no clients.',
      ),
      json: {
        clients: rows.map(({ id, scopes, audiences, createdAt, previousSecretUntil }) => ({
          id,
          scopes,
          audiences,
          created_at: seconds(createdAt),
          previous_secret_until: previousSecretUntil === undefined ? null : seconds(previousSecretUntil),
        })),
      },
    }
  },
})

const rotate = command({
  about: 'Give a client a new secret, and show it, once',
  details:
    'The old secret is good until the overlap ends, so that services change theirs one by one; the one before it is not.',
  names: ['ID'],
  options: {
    overlap: { type: 'string', value: 'DURATION', about: 'such as 30m, 12h or 0; 1d if not given' },
  },
  async run({ names: [id], options }) {
    const overlap = overlapOf(options.overlap ?? '1d')
    const secret = generateClientSecret()
    const until = await withServices(({ clients }) => clients.rotateSecret({ id, secret }, overlap))
    if (until === undefined) throw new CommandError(`there is no client ${id}`)
    const old = overlap === 0 ? 'The old one is good no longer.' : `The old one is good until ${time(until)}.`
    return {
      text: `The client ${id} has a new secret, which is not shown again. ${old}\n${secret}`,
      json: { id, secret, previous_secret_until: overlap === 0 ? null : seconds(until) },
    }
  },
})

const remove = command({
  about: 'Delete a client, and end the tokens that it got for itself',
  details: `
Sessions of people that began by way of it can be refreshed no longer. A client that BOOTSTRAP_CLIENT names is made again
when the service starts.`,
  names: ['ID'],
  async run({ names: [id] }) {
    const isDeleted = await withServices((services) => deleteClient(services, id))
    if (!isDeleted) throw new CommandError(`there is no client ${id}`)
    return { text: `The client ${id} is deleted, and its tokens have ended.`, json: { id, deleted: true } }
  },
})

/** Words may be given one by one, or several in one, as a token has them. */
function words(given: readonly string[], name: string): string[] {
  const all = given.flatMap((text) => text.split(' ')).filter(Boolean)
  const bad = all.find((word) => !isScopeToken(word))
  if (bad !== undefined) throw new CommandError(`--${name} must be of printable ASCII, with no quote and no backslash`)
  return [...new Set(all)]
}

function overlapOf(text: string): number {
  try {
    return duration(text)
  } catch (error) {
    throw new CommandError(`--overlap: ${(error as Error).message}`)
  }
}

export const clients = group('Services and gateways that call this service', { create, list, rotate, delete: remove })
