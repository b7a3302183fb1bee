import { Type } from 'typebox'
import { ErrorBody } from './error.js'

const failures = {
  405: Type.Object(ErrorBody.properties, { description: 'The method is not one of this resource' }),
  500: Type.Object(ErrorBody.properties, { description: 'A fault of the service' }),
}

const texts = Type.Array(Type.String())

/** RFC 8414 §2 */
export const MetadataAnswer = Type.Object(
  {
    issuer: Type.String(),
    token_endpoint: Type.String(),
    introspection_endpoint: Type.String(),
    revocation_endpoint: Type.String(),
    jwks_uri: Type.String(),
    response_types_supported: texts,
    grant_types_supported: texts,
    token_endpoint_auth_methods_supported: texts,
    introspection_endpoint_auth_methods_supported: texts,
    revocation_endpoint_auth_methods_supported: texts,
  },
  { description: 'Where everything is, and what it can do' },
)

/** `GET /.well-known/oauth-authorization-server`, and under OpenID Connect's name for clients that know only that. */
export const Metadata = {
  summary: 'Metadata of this authorization server',
  tags: ['services'],
  response: { 200: MetadataAnswer, ...failures },
}

/** `GET /.well-known/jwks.json` (RFC 7517) */
export const Jwks = {
  summary: 'The public keys that verify access tokens',
  description: 'Empty where tokens are signed with a shared secret alone.',
  tags: ['services'],
  response: {
    200: Type.Object(
      { keys: Type.Array(Type.Record(Type.String(), Type.String())) },
      { description: 'A JWK Set. Never a secret' },
    ),
    ...failures,
  },
}
