import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply } from 'fastify'
import { Jwks, Metadata } from '../../schemas/metadata.js'
import type { KeyRing, SigningKey } from '../tokens/key-ring.js'

interface Needs {
  issuer: string
  ring: KeyRing
}

/** Long enough to spare us, short enough for a key that is added to be known before it signs. */
const CACHE_CONTROL = 'public, max-age=300'
const AUTHENTICATION = ['client_secret_basic', 'client_secret_post']

/** `GET /.well-known/…`: what clients discover by themselves (RFC 8414), and the public keys (RFC 7517). */
export const metadata: FastifyPluginAsyncTypebox<Needs> = async (app, { issuer, ring }) => {
  const base = issuer.replace(/\/$/, '')
  const answer = {
    issuer,
    token_endpoint: `${base}/token`,
    introspection_endpoint: `${base}/introspect`,
    revocation_endpoint: `${base}/revoke`,
    jwks_uri: `${base}/.well-known/jwks.json`,
    // Required, and empty: there is no authorization endpoint.
    response_types_supported: [],
    grant_types_supported: ['client_credentials', 'refresh_token'],
    token_endpoint_auth_methods_supported: AUTHENTICATION,
    introspection_endpoint_auth_methods_supported: AUTHENTICATION,
    revocation_endpoint_auth_methods_supported: AUTHENTICATION,
  }

  const send = (reply: FastifyReply, document: Buffer) =>
    reply.header('cache-control', CACHE_CONTROL).type('application/json; charset=utf-8').send(document)

  // One buffer for all answers: a caller that asks and never reads costs no copy.
  const document = Buffer.from(JSON.stringify(answer))
  for (const name of ['oauth-authorization-server', 'openid-configuration']) {
    app.get(`/.well-known/${name}`, { schema: Metadata }, async (_request, reply) => send(reply, document))
    for (const url of addressesForPath(base, `/.well-known/${name}`)) {
      app.get(url, { schema: { ...Metadata, hide: true } }, async (_request, reply) => send(reply, document))
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
 * Where clients look for the metadata of an issuer with a path: behind the well-known part (RFC 8414 §3.1) or before it
 * (OpenID Connect Discovery §4). A gateway that takes the path off leads to the plain address.
 */
function addressesForPath(base: string, wellKnown: string): string[] {
  // The router compares decoded addresses; to the router a colon begins a parameter, and two colons are one.
  const path = decodeURI(new URL(base).pathname).replace(/\/$/, '').replaceAll(':', '::')
  // An asterisk stands for any path, and cannot be escaped.
  return path === '' || path.includes('*') ? [] : [wellKnown + path, path + wellKnown]
}
