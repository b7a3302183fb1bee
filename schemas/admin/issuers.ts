import { commonErrorResponses, readErrorResponses } from '../error.js'
import { example, Fields, Time } from '../fields.js'
import { Type } from '../typebox.js'
import { AdminBody, adminRoute, CredentialsOnly, IssuerName, Jwks, JwksUri, PublicJwks } from './fields.js'

const nullable = (description: string) => Type.Union([Type.String(), Type.Null()], { description })

const Issuer = Type.Object(
  {
    name: Type.String(),
    issuer: Type.String(),
    jwks_uri: nullable('The address of the keys. `null` if the keys are discovered, or given in `jwks`'),
    jwks: Type.Union([PublicJwks, Type.Null()]),
    ca_file: nullable('The certificate authorities of the addresses of the keys'),
    bearer_file: nullable('The bearer token for these addresses'),
    created_at: Time,
  },
  {
    description: 'A trusted issuer',
    examples: [
      {
        name: 'cluster',
        issuer: 'https://kubernetes.default.svc.cluster.local',
        jwks_uri: null,
        jwks: null,
        ca_file: '/var/run/secrets/kubernetes.io/serviceaccount/ca.crt',
        bearer_file: '/var/run/secrets/kubernetes.io/serviceaccount/token',
        created_at: example.time,
      },
    ],
  },
)
const [issuerExample] = (Issuer as unknown as { examples: [object] }).examples
const Path = Type.String({ minLength: 1, maxLength: 1000, pattern: '^/', 'x-rule': 'must be an absolute path' })
const params = Fields({ name: IssuerName })

/** `GET /admin/issuers` */
export const ListIssuers = {
  summary: 'List the trusted issuers',
  ...adminRoute,
  response: {
    200: Type.Object(
      { issuers: Type.Array(Issuer) },
      { description: 'The issuers, by name', examples: [{ issuers: [issuerExample] }] },
    ),
    ...readErrorResponses(401, 403),
  },
}

/** `POST /admin/issuers` */
export const CreateIssuer = {
  summary: 'Trust an issuer',
  description:
    'Its tokens authenticate the clients that are bound to it, and no other client. With neither `jwks` nor `jwks_uri`, the keys ' +
    'are discovered from `issuer` (OpenID Connect Discovery). Every instance reads the two files when it fetches keys.',
  ...adminRoute,
  body: AdminBody(
    {
      name: IssuerName,
      issuer: Type.String({
        minLength: 1,
        maxLength: 1000,
        description: 'The exact `iss` of the tokens; or `spiffe://TRUST-DOMAIN` for JWT-SVIDs, which may have no `iss`',
      }),
      jwks_uri: Type.Optional(JwksUri),
      jwks: Type.Optional(Jwks),
      ca_file: Type.Optional(
        Type.String({
          ...Path,
          description: 'Path of a PEM file: the authorities of the certificates of these addresses',
        }),
      ),
      bearer_file: Type.Optional(
        Type.String({ ...Path, description: 'Path of a file with a JWT, sent to these addresses as the bearer token' }),
      ),
    },
    {
      examples: [
        { name: 'cluster', issuer: 'https://kubernetes.default.svc.cluster.local' },
        { name: 'mesh', issuer: 'spiffe://example.org', jwks_uri: 'https://spire.example.org/keys' },
      ],
    },
  ),
  response: {
    201: Type.Object(Issuer.properties, { description: 'The issuer', examples: [issuerExample] }),
    ...commonErrorResponses(401, 403, 409),
  },
}

/** `GET /admin/issuers/:name` */
export const ReadIssuer = {
  summary: 'Read a trusted issuer',
  ...adminRoute,
  params,
  response: {
    200: Type.Object(Issuer.properties, { description: 'The issuer', examples: [issuerExample] }),
    ...readErrorResponses(401, 403, 404),
  },
}

/** `DELETE /admin/issuers/:name` */
export const DeleteIssuer = {
  summary: 'Stop trusting an issuer',
  description: 'Refused with 409 while clients are bound to the issuer. Other replicas follow within 5 seconds.',
  ...adminRoute,
  params,
  body: CredentialsOnly,
  response: { 204: Type.Null({ description: 'Done' }), ...commonErrorResponses(401, 403, 404, 409) },
}
