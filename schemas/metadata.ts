import { errorResponses } from './error.js'
import { TOKEN_EXCHANGE } from './token.js'
import { Type } from './typebox.js'

const authentication = ['client_secret_basic', 'client_secret_post', 'private_key_jwt']
const algorithms = ['ES256', 'RS256', 'PS256', 'EdDSA']
const texts = Type.Array(Type.String())

const members = {
  issuer: Type.String(),
  token_endpoint: Type.String(),
  introspection_endpoint: Type.String(),
  revocation_endpoint: Type.String(),
  revocation_feed_endpoint: Type.String({ description: 'Not in RFC 8414: the address of `GET /revocations`' }),
  jwks_uri: Type.String(),
  response_types_supported: texts,
  grant_types_supported: texts,
  acr_values_supported: texts,
  token_endpoint_auth_methods_supported: texts,
  introspection_endpoint_auth_methods_supported: texts,
  revocation_endpoint_auth_methods_supported: texts,
  token_endpoint_auth_signing_alg_values_supported: texts,
  introspection_endpoint_auth_signing_alg_values_supported: texts,
  revocation_endpoint_auth_signing_alg_values_supported: texts,
}

const example = {
  issuer: 'http://localhost:3000',
  token_endpoint: 'http://localhost:3000/token',
  introspection_endpoint: 'http://localhost:3000/introspect',
  revocation_endpoint: 'http://localhost:3000/revoke',
  revocation_feed_endpoint: 'http://localhost:3000/revocations',
  jwks_uri: 'http://localhost:3000/.well-known/jwks.json',
  response_types_supported: [],
  grant_types_supported: ['client_credentials', 'refresh_token', TOKEN_EXCHANGE],
  acr_values_supported: ['1', '2'],
  token_endpoint_auth_methods_supported: authentication,
  introspection_endpoint_auth_methods_supported: authentication,
  revocation_endpoint_auth_methods_supported: authentication,
  token_endpoint_auth_signing_alg_values_supported: algorithms,
  introspection_endpoint_auth_signing_alg_values_supported: algorithms,
  revocation_endpoint_auth_signing_alg_values_supported: algorithms,
}

/** RFC 8414 §2 */
const MetadataResponse = Type.Object(members, {
  description: 'The endpoints and what they support',
  examples: [example],
})

/** OpenID Connect Discovery §3 */
const OpenIdMetadataResponse = Type.Object(
  {
    ...members,
    subject_types_supported: texts,
    id_token_signing_alg_values_supported: texts,
  },
  {
    description: 'The endpoints and what they support',
    examples: [
      {
        ...example,
        subject_types_supported: ['public'],
        id_token_signing_alg_values_supported: ['ES256', 'RS256', 'EdDSA'],
      },
    ],
  },
)

/** `GET /.well-known/oauth-authorization-server` */
export const Metadata = {
  summary: 'Metadata of this authorization server',
  tags: ['services'],
  response: { 200: MetadataResponse, ...errorResponses(400, 405, 415, 500) },
}

/** `GET /.well-known/openid-configuration`, for clients that know no other address. */
export const OpenIdMetadata = {
  summary: 'Metadata of this authorization server, for OpenID libraries',
  description:
    'The same document, with two members that OpenID libraries require. This service has no authorization endpoint and no ' +
    'ID tokens. `id_token_signing_alg_values_supported` lists the algorithms of access tokens that public keys verify.',
  tags: ['services'],
  response: { 200: OpenIdMetadataResponse, ...errorResponses(400, 405, 415, 500) },
}

/** `GET /.well-known/jwks.json` (RFC 7517) */
export const Jwks = {
  summary: 'The public keys that verify access tokens',
  description: 'Empty if only shared secrets sign tokens.',
  tags: ['services'],
  response: {
    200: Type.Object(
      { keys: Type.Array(Type.Record(Type.String(), Type.String())) },
      {
        description: 'A JWK Set, without any secret',
        examples: [
          {
            keys: [
              {
                kty: 'EC',
                crv: 'P-256',
                x: 'f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU',
                y: 'x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0',
                kid: 'hcuiuWjzYPPGKAYUZKEFMEHNRQCsRiA9oKAijJAXZNc',
                alg: 'ES256',
                use: 'sig',
              },
            ],
          },
        ],
      },
    ),
    ...errorResponses(400, 405, 415, 500),
  },
}
