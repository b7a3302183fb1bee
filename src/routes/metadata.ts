import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { ASSERTION_ALGORITHMS } from '@latchkey/verifier/assertion'
import type { FastifyReply } from 'fastify'
import { Jwks, Metadata, OpenIdMetadata } from '../../schemas/metadata.js'
import { TOKEN_EXCHANGE } from '../../schemas/token.js'
import { tokenEndpoint } from '../clients/assertions.js'
import { algorithms } from '../tokens/key-file.js'
import type { KeyRing, SigningKey } from '../tokens/key-ring.js'

interface Dependencies {
  issuer: string
  ring: KeyRing
}

/** Short enough that clients know a new key before it signs. */
const CACHE_CONTROL = 'public, max-age=300'
const AUTHENTICATION = ['client_secret_basic', 'client_secret_post', 'private_key_jwt']

/** `GET /.well-known/…`: the metadata that clients discover (RFC 8414), and the public keys (RFC 7517). */
export const metadata: FastifyPluginAsyncTypebox<Dependencies> = async (app, { issuer, ring }) => {
  const base = issuer.replace(/\/$/, '')
  const answer = {
    issuer,
    token_endpoint: tokenEndpoint(issuer),
    introspection_endpoint: `${base}/introspect`,
    revocation_endpoint: `${base}/revoke`,
    revocation_feed_endpoint: `${base}/revocations`,
    jwks_uri: `${base}/.well-known/jwks.json`,
    // RFC 8414 requires this member. It is empty because there is no authorization endpoint.
    response_types_supported: [],
    grant_types_supported: ['client_credentials', 'refresh_token', TOKEN_EXCHANGE],
    // OpenID Connect Discovery §3: the values of `acr` in tokens, and of the challenge to step up (RFC 9470 §7).
    acr_values_supported: ['1', '2'],
    token_endpoint_auth_methods_supported: AUTHENTICATION,
    introspection_endpoint_auth_methods_supported: AUTHENTICATION,
    revocation_endpoint_auth_methods_supported: AUTHENTICATION,
    token_endpoint_auth_signing_alg_values_supported: ASSERTION_ALGORITHMS,
    introspection_endpoint_auth_signing_alg_values_supported: ASSERTION_ALGORITHMS,
    revocation_endpoint_auth_signing_alg_values_supported: ASSERTION_ALGORITHMS,
  }

  const send = (reply: FastifyReply, document: Buffer) =>
    reply.header('cache-control', CACHE_CONTROL).type('application/json; charset=utf-8').send(document)

  // OpenID Connect Discovery §3 requires these members, and Spring refuses a document without the first. No ID token exists:
  // libraries read the algorithms as those of the service's access tokens.
  const openid = {
    ...answer,
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: algorithms.filter((alg) => alg !== 'HS256'),
  }

  const path = pathOf(base)
  for (const [name, schema, content] of [
    ['oauth-authorization-server', Metadata, answer],
    ['openid-configuration', OpenIdMetadata, openid],
  ] as const) {
    // All answers share one buffer, so a caller that never reads its answer costs no copy.
    const document = Buffer.from(JSON.stringify(content))
    const url = `/.well-known/${name}`
    app.get(url, { schema }, async (_request, reply) => send(reply, document))
    if (path !== '') {
      app.get(url + path, { schema: { ...schema, hide: true } }, async (_request, reply) => send(reply, document))
    }
  }

  let current: { keys: readonly SigningKey[]; jwks: Buffer } | undefined
  app.get('/.well-known/jwks.json', { schema: Jwks }, async (_request, reply) => {
    const keys = ring.keys()
    if (current?.keys !== keys) {
      const publicKeys = keys.flatMap(({ publicJwk }) => (publicJwk ? [publicJwk] : []))
      current = { keys, jwks: Buffer.from(JSON.stringify({ keys: publicKeys })) }
    }
    return send(reply, current.jwks)
  })
}

/**
 * The path of an issuer, as the router writes it. Clients look for the metadata behind the well-known part and this path (RFC 8414
 * §3.1). OpenID Connect Discovery §4 puts the path in front: `issuer-path.ts` removes it there.
 */
function pathOf(base: string): string {
  // The router compares decoded addresses. A colon begins a parameter there, and two colons mean one.
  const path = decodeURI(new URL(base).pathname).replace(/\/$/, '').replaceAll(':', '::')
  // An asterisk matches any path in the router, and cannot be escaped.
  return path.includes('*') ? '' : path
}
