import { type IssuerDescription, parseIssuer } from '../clients/trusted-issuers.js'
import { toUnixSeconds } from '../unix-seconds.js'
import { CommandError, command, group, table, time, UsageError } from './command.js'
import { readJwks } from './read-jwks.js'
import { withServices } from './services.js'

const add = command({
  about: 'Trust an issuer, whose tokens authenticate the clients that are bound to it',
  details: `
A Kubernetes cluster: --issuer is the value of  kubectl get --raw /.well-known/openid-configuration | jq -r .issuer
A SPIFFE trust domain: --issuer spiffe://TRUST-DOMAIN, with --jwks-uri.
Without --jwks and --jwks-uri, the service discovers the keys from the issuer. Every instance of the service reads the files of
--ca-file and --bearer-file when it fetches keys. Bind a client with  latchkey clients create ID --issuer NAME --subject SUBJECT`,
  names: ['NAME'],
  options: {
    issuer: { type: 'string', value: 'URL', about: 'the exact iss of the tokens, or spiffe://TRUST-DOMAIN' },
    'jwks-uri': { type: 'string', value: 'URL', about: 'the address of the keys, without discovery' },
    jwks: { type: 'string', value: 'FILE', about: 'a file with the public keys, which are not fetched then' },
    'ca-file': { type: 'string', value: 'PATH', about: 'the certificate authorities of these addresses, as PEM' },
    'bearer-file': { type: 'string', value: 'PATH', about: 'a file with the JWT that these addresses ask for' },
  },
  async run({ names: [name], options }) {
    if (options.issuer === undefined) throw new UsageError('--issuer is missing: see latchkey issuers add --help')
    const description = {
      name,
      issuer: options.issuer,
      jwksUri: options['jwks-uri'],
      jwks: options.jwks === undefined ? undefined : readJwks(options.jwks),
      caFile: options['ca-file'],
      bearerFile: options['bearer-file'],
    }
    const isCreated = await withServices(
      ({ issuers, config }) => issuers.create(parse(description, config.production)),
      'create',
    )
    if (!isCreated) throw new CommandError(`the issuer ${name} exists: remove it first, or choose another name`)
    return {
      text: `The issuer ${name} is trusted. No client is bound to it yet.`,
      json: { name, issuer: options.issuer },
      audit: [{ event: 'issuer.created', issuer: name }],
    }
  },
})

const list = command({
  about: 'List the trusted issuers',
  async run() {
    const all = await withServices(({ issuers }) => issuers.list())
    return {
      text: table(
        all.map(({ name, issuer, jwksUri, jwks, createdAt }) => ({
          name,
          issuer,
          keys: jwksUri ?? (jwks === undefined ? 'discovered' : 'given'),
          created: time(createdAt),
        })),
        'There are no trusted issuers.',
      ),
      json: {
        issuers: all.map(({ name, issuer, jwksUri, jwks, caFile, bearerFile, createdAt }) => ({
          name,
          issuer,
          jwks_uri: jwksUri ?? null,
          jwks: jwks === undefined ? null : { keys: JSON.parse(jwks) as unknown },
          ca_file: caFile ?? null,
          bearer_file: bearerFile ?? null,
          created_at: toUnixSeconds(createdAt),
        })),
      },
    }
  },
})

const remove = command({
  about: 'Stop trusting an issuer',
  details: `
Remove or change the clients that are bound to it first. The service follows within 5 seconds.`,
  names: ['NAME'],
  async run({ names: [name] }) {
    const outcome = await withServices(({ issuers }) => issuers.delete(name))
    if (outcome === 'unknown') throw new CommandError(`there is no issuer ${name}`)
    if (outcome !== 'deleted') throw new CommandError(`clients are bound to ${name}: ${outcome.clients.join(', ')}`)
    return {
      text: `The issuer ${name} is not trusted any more.`,
      json: { name, removed: true },
      audit: [{ event: 'issuer.deleted', issuer: name }],
    }
  },
})

function parse(description: IssuerDescription, production: boolean) {
  try {
    return parseIssuer(description, !production)
  } catch (error) {
    throw new CommandError((error as Error).message)
  }
}

export const issuers = group('Manage trusted issuers: Kubernetes clusters and SPIFFE trust domains', {
  add,
  list,
  remove,
})
