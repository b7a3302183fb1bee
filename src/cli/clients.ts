import { generateClientSecret, isClientId } from '../clients/clients.js'
import { duration } from '../config/duration.js'
import { createClient, deleteClient } from '../lifecycle/clients.js'
import { isScopeToken } from '../scope.js'
import { CommandError, command, group, seconds, table, time } from './command.js'
import { withServices } from './services.js'

const scope = {
  type: 'string',
  multiple: true,
  value: 'SCOPE',
  about: 'a scope that the client may have; may be repeated',
} as const
const audience = {
  type: 'string',
  multiple: true,
  value: 'AUDIENCE',
  about: 'an audience whose tokens it sees; may be repeated',
} as const
const exchangeAudiences = {
  type: 'string',
  multiple: true,
  value: 'AUDIENCES',
  about: "audiences for which it may exchange a person's token; may be repeated",
} as const

const create = command({
  about: 'Create a client, and show its secret once',
  details: `
The scope introspect permits /introspect, and the scope admin permits /admin. The client's own tokens carry the other scopes.
A client with audiences sees only the tokens for these audiences at introspection.

A client with exchange audiences, for example a gateway, exchanges the token of a person for a token of one of these audiences.
It exchanges tokens for its own audiences, or, without audiences, for ISSUER and the default audience.`,
  names: ['ID'],
  options: { scope, audience, 'exchange-audiences': exchangeAudiences },
  async run({ names: [id], options }) {
    if (!isClientId(id)) {
      throw new CommandError('ID must be 1 to 64 letters, digits, dots, dashes and underscores, and not latchkey')
    }
    const scopes = splitValues(options.scope, 'scope')
    const audiences = splitValues(options.audience, 'audience')
    const exchangeAudiences = splitValues(options['exchange-audiences'], 'exchange-audiences')
    const secret = generateClientSecret()
    const permissions = { scopes, audiences, exchangeAudiences }
    const isCreated = await withServices((services) => createClient(services, { id, secret }, permissions))
    if (!isCreated) throw new CommandError(`the client ${id} exists: rotate gives it a new secret`)
    return {
      text: `The client ${id} is created. Its secret is not shown again:\n${secret}`,
      json: { id, secret, scopes, audiences, exchange_audiences: exchangeAudiences },
    }
  },
})

const update = command({
  about: 'Change what a client may do',
  details: `
An option replaces all values of its kind, and what you leave out stays as it is. --exchange-audiences '' takes all of them away.
Running instances see the change within 5 seconds.`,
  names: ['ID'],
  options: { scope, audience, 'exchange-audiences': exchangeAudiences },
  async run({ names: [id], options }) {
    const { scope: scopes, audience: audiences, 'exchange-audiences': exchangeAudiences } = options
    const changes = {
      ...(scopes.length > 0 && { scopes: splitValues(scopes, 'scope') }),
      ...(audiences.length > 0 && { audiences: splitValues(audiences, 'audience') }),
      ...(exchangeAudiences.length > 0 && {
        exchangeAudiences: splitValues(exchangeAudiences, 'exchange-audiences'),
      }),
    }
    if (Object.keys(changes).length === 0) {
      throw new CommandError('nothing to change: give --scope, --audience or --exchange-audiences')
    }
    const client = await withServices(async ({ clients }) =>
      (await clients.update(id, changes)) ? clients.read(id) : undefined,
    )
    if (!client) throw new CommandError(`there is no client ${id}`)
    const json = {
      id,
      scopes: [...client.scopes],
      audiences: [...client.audiences],
      exchange_audiences: [...client.exchangeAudiences],
    }
    return { text: `The client ${id} is changed.`, json }
  },
})

const list = command({
  about: 'List the clients',
  async run() {
    const all = await withServices(({ clients }) => clients.list())
    const rows = all.map((client) => ({
      ...client,
      scopes: [...client.scopes],
      audiences: [...client.audiences],
      exchangeAudiences: [...client.exchangeAudiences],
    }))
    return {
      text: table(
        rows.map(({ id, scopes, audiences, exchangeAudiences, createdAt, previousSecretUntil }) => ({
          id,
          scopes: scopes.join(' '),
          audiences: audiences.join(' ') || 'all',
          'exchanges for': exchangeAudiences.join(' '),
          created: time(createdAt),
          'old secret until': time(previousSecretUntil),
        })),
        'There are no clients.',
      ),
      json: {
        clients: rows.map(({ id, scopes, audiences, exchangeAudiences, createdAt, previousSecretUntil }) => ({
          id,
          scopes,
          audiences,
          exchange_audiences: exchangeAudiences,
          created_at: seconds(createdAt),
          previous_secret_until: previousSecretUntil === undefined ? null : seconds(previousSecretUntil),
        })),
      },
    }
  },
})

const rotate = command({
  about: 'Give a client a new secret, and show it once',
  details: `
The old secret is valid until the overlap ends, so that you can update services one by one. A secret that was older ends now.`,
  names: ['ID'],
  options: {
    overlap: {
      type: 'string',
      value: 'DURATION',
      about: 'time that the old secret stays valid: 30m, 12h or 0; default 1d',
    },
  },
  async run({ names: [id], options }) {
    const overlap = parseOverlap(options.overlap ?? '1d')
    const secret = generateClientSecret()
    const until = await withServices(({ clients }) => clients.rotateSecret({ id, secret }, overlap))
    if (until === undefined) throw new CommandError(`there is no client ${id}`)
    const old = overlap === 0 ? 'The old secret has ended.' : `The old secret is valid until ${time(until)}.`
    return {
      text: `The client ${id} has a new secret, which is not shown again. ${old}\n${secret}`,
      json: { id, secret, previous_secret_until: overlap === 0 ? null : seconds(until) },
    }
  },
})

const remove = command({
  about: 'Delete a client, and end its own tokens',
  details: `
User sessions that this client began can no longer be refreshed. The service creates the client of BOOTSTRAP_CLIENT again
when it starts.`,
  names: ['ID'],
  async run({ names: [id] }) {
    const isDeleted = await withServices((services) => deleteClient(services, id))
    if (!isDeleted) throw new CommandError(`there is no client ${id}`)
    return { text: `The client ${id} is deleted, and its tokens have ended.`, json: { id, deleted: true } }
  },
})

/** An option may be repeated, or hold several values with spaces between them, like a `scope` in a token. */
function splitValues(given: readonly string[], name: string): string[] {
  const all = given.flatMap((text) => text.split(' ')).filter(Boolean)
  const bad = all.find((value) => !isScopeToken(value))
  if (bad !== undefined) throw new CommandError(`--${name} must be printable ASCII without quotes and backslashes`)
  return [...new Set(all)]
}

function parseOverlap(text: string): number {
  try {
    return duration(text)
  } catch (error) {
    throw new CommandError(`--overlap: ${(error as Error).message}`)
  }
}

export const clients = group('Manage clients: the services and gateways that call this service', {
  create,
  update,
  list,
  rotate,
  delete: remove,
})
