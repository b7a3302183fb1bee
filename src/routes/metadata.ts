import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Jwks, Metadata } from '../../schemas/metadata.js'
import type { KeyRing } from '../tokens/key-ring.js'

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

  for (const name of ['oauth-authorization-server', 'openid-configuration']) {
    app.get(`/.well-known/${name}`, { schema: Metadata }, async (_request, reply) =>
      reply.header('cache-control', CACHE_CONTROL).send(answer),
    )
  }

  app.get('/.well-known/jwks.json', { schema: Jwks }, async (_request, reply) => {
    const keys = ring.keys().flatMap(({ publicJwk }) => (publicJwk ? [publicJwk as Record<string, string>] : []))
    return reply.header('cache-control', CACHE_CONTROL).send({ keys })
  })
}
