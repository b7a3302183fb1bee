import { isScopeToken } from '@latchkey/verifier/access-token'
import type { SubjectBinding } from '../clients/client-proof.js'
import { type ClientPermissions, generateClientSecret, isClientId } from '../clients/clients.js'
import { duration } from '../config/duration.js'
import { createClient, deleteClient } from '../lifecycle/clients.js'
import { nearReservedScope } from '../scope.js'
import { toUnixSeconds } from '../unix-seconds.js'
import { describeBindingFault, describeProof, parseProofOptions, proofOptions } from './client-proof.js'
import { CommandError, command, group, table, time, UsageError } from './command.js'
import { withServices } from './services.js'

const permissionOptions = {
  scope: {
    type: 'string',
    multiple: true,
    value: 'SCOPE',
    about: 'a scope that the client may have; may be repeated',
  },
  audience: {
    type: 'string',
    multiple: true,
    value: 'AUDIENCE',
    about: 'an audience whose tokens the client may introspect, get and exchange; may be repeated',
  },
  'exchange-audiences': {
    type: 'string',
    multiple: true,
    value: 'AUDIENCES',
    about: "audiences for which the client may exchange a person's token; may be repeated",
  },
} as const

const create = command({
  about: 'Create a client, and show its secret once',
  details: `
The scope introspect permits /introspect and /revocations, admin permits /admin, and recovery permits /recovery. The client's own
tokens carry the other scopes, and these three only if the client asks for them by name.
A client with audiences sees only the tokens for these audiences at introspection. A client with keys, or with the subject of a
trusted issuer, gets no secret without --secret.

A client with exchange audiences, for example a gateway, exchanges the token of a person for a token of one of these audiences.
It exchanges tokens for its own audiences. Without audiences it exchanges tokens for ISSUER and the default audience.`,
  names: ['ID'],
  options: {
    ...permissionOptions,
    ...proofOptions,
    secret: { type: 'boolean', about: 'give the client a secret too' },
  },
  async run({ names: [id], options }) {
    if (!isClientId(id)) {
      throw new CommandError('ID must be 1 to 64 letters, digits, dots, dashes and underscores, and not latchkey')
    }
    const scopes = splitValues(options.scope, 'scope')
    const audiences = splitValues(options.audience, 'audience')
    const exchangeAudiences = splitValues(options['exchange-audiences'], 'exchange-audiences')
    return withServices(async (services) => {
      const proof = parseProofOptions(options, services.config.production)
      const secret = options.secret || Object.keys(proof).length === 0 ? generateClientSecret() : undefined
      const client = { id, ...proof, ...(secret !== undefined && { secret }) }
      const outcome = await createClient(services, client, { scopes, audiences, exchangeAudiences })
      if (outcome === 'id_taken')
        throw new CommandError(
          `a client or an account has the id ${id}: choose another, or give the client a new secret with rotate`,
        )
      if (outcome !== 'created') throw new CommandError(describeBindingFault(outcome, proof.binding as SubjectBinding))
      return {
        text:
          secret === undefined
            ? `The client ${id} is created. It has no secret.`
            : `The client ${id} is created. Its secret is not shown again:\n${secret}`,
        json: {
          id,
          ...(secret !== undefined && { secret }),
          scopes,
          audiences,
          exchange_audiences: exchangeAudiences,
        },
        audit: [{ event: 'client.created', client: id, scopes, audiences, exchangeAudiences }],
      }
    }, 'create')
  },
})

const update = command({
  about: 'Change what a client may do, and how it authenticates',
  details: `
--scope, --audience and --exchange-audiences each replace all values of their kind. '' takes all scopes or exchange audiences away.
--audience '' removes the limit: the client then sees the tokens for every audience. --jwks replaces --jwks-uri, and the other way
round. The service follows within 5 seconds.`,
  names: ['ID'],
  options: {
    ...permissionOptions,
    ...proofOptions,
    'remove-keys': { type: 'boolean', about: 'remove the keys of the client' },
    'remove-subject': { type: 'boolean', about: 'no token of a trusted issuer authenticates the client any more' },
    'remove-secret': { type: 'boolean', about: 'remove every secret of the client' },
  },
  async run({ names: [id], options }) {
    return withServices(async ({ clients, config }) => {
      const proof = parseProofOptions(options, config.production)
      const change = {
        ...(options['remove-keys'] && { jwks: null, jwksUri: null }),
        ...(options['remove-subject'] && { binding: null }),
        ...(options['remove-secret'] && { secret: null }),
        ...proof,
      }
      const permissions = parsePermissions(options)
      if (Object.keys({ ...change, ...permissions }).length === 0)
        throw new UsageError('nothing to change: see latchkey clients update --help')
      const outcome = Object.keys(change).length > 0 ? await clients.changeProof(id, change) : 'changed'
      if (outcome === 'unknown_client') throw new CommandError(`there is no client ${id}`)
      if (outcome === 'no_proof_left') {
        throw new CommandError(
          `the client ${id} could not authenticate any more: give it a secret, keys or a subject first`,
        )
      }
      if (outcome !== 'changed') throw new CommandError(describeBindingFault(outcome, proof.binding as SubjectBinding))
      if (!(await clients.changePermissions(id, permissions))) throw new CommandError(`there is no client ${id}`)
      return {
        text: `The client ${id} is changed.`,
        json: { id, changed: Object.keys({ ...change, ...permissions }) },
        audit: [
          ...(Object.keys(change).length > 0
            ? [{ event: 'client.proof_changed' as const, client: id, proof: Object.keys(change) }]
            : []),
          ...(Object.keys(permissions).length > 0
            ? [{ event: 'client.updated' as const, client: id, ...permissions }]
            : []),
        ],
      }
    })
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
        rows.map((client) => ({
          id: client.id,
          scopes: client.scopes.join(' '),
          audiences: client.audiences.join(' ') || 'all',
          'exchanges for': client.exchangeAudiences.join(' '),
          authentication: describeProof(client),
          created: time(client.createdAt),
          'old secret until': time(client.previousSecretUntil),
        })),
        'There are no clients.',
      ),
      json: {
        clients: rows.map((client) => ({
          id: client.id,
          scopes: client.scopes,
          audiences: client.audiences,
          exchange_audiences: client.exchangeAudiences,
          created_at: toUnixSeconds(client.createdAt),
          previous_secret_until:
            client.previousSecretUntil === undefined ? null : toUnixSeconds(client.previousSecretUntil),
          has_secret: client.hasSecret,
          jwks: client.jwks === undefined ? null : { keys: JSON.parse(client.jwks) as unknown },
          jwks_uri: client.jwksUri ?? null,
          issuer: client.binding?.issuer ?? null,
          subject: client.binding?.subject ?? null,
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
    const old =
      until === 0
        ? 'It had no secret before.'
        : overlap === 0
          ? 'The old secret has ended.'
          : `The old secret is valid until ${time(until)}.`
    return {
      text: `The client ${id} has a new secret, which is not shown again. ${old}\n${secret}`,
      json: { id, secret, previous_secret_until: overlap === 0 || until === 0 ? null : toUnixSeconds(until) },
      audit: [{ event: 'client.secret_rotated', client: id }],
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
    return {
      text: `The client ${id} is deleted, and its tokens have ended.`,
      json: { id, deleted: true },
      audit: [{ event: 'client.deleted', client: id }],
    }
  },
})

/** The permissions that the options change. An option without a value takes everything of its kind away. */
function parsePermissions(options: {
  scope: readonly string[]
  audience: readonly string[]
  'exchange-audiences': readonly string[]
}): Partial<ClientPermissions> {
  const { scope, audience, 'exchange-audiences': exchange } = options
  return {
    ...(scope.length > 0 && { scopes: splitValues(scope, 'scope') }),
    ...(audience.length > 0 && { audiences: splitValues(audience, 'audience') }),
    ...(exchange.length > 0 && { exchangeAudiences: splitValues(exchange, 'exchange-audiences') }),
  }
}

/** An option may be repeated, or hold several values with spaces between them, like a `scope` in a token. */
function splitValues(given: readonly string[], name: string): string[] {
  const all = given.flatMap((text) => text.split(' ')).filter(Boolean)
  const bad = all.find((value) => !isScopeToken(value))
  if (bad !== undefined)
    throw new CommandError(`--${name} must be printable ASCII without double quotes and backslashes`)
  const near = name === 'scope' ? all.find(nearReservedScope) : undefined
  if (near !== undefined) {
    throw new CommandError(
      `there is no scope ${near}: write ${nearReservedScope(near)}, or a scope that looks like none of this service`,
    )
  }
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
  list,
  update,
  rotate,
  delete: remove,
})
