import { errorResponses } from './error.js'
import { Empty, Fields } from './fields.js'
import { Type } from './typebox.js'

/**
 * Only for the document. The route answers before Fastify validates, and checks the query itself, because a gateway may pass its
 * caller's query on.
 */
const querystring = Fields({
  aud: Type.Optional(Type.String({ description: 'The audience of the token' })),
  scope: Type.Optional(Type.String({ description: 'Space-separated scopes, which the token must all have' })),
  role: Type.Optional(Type.String({ description: 'Space-separated roles, which the token must all have' })),
  acr: Type.Optional(
    Type.Union([Type.Literal('1'), Type.Literal('2')], {
      description: 'How many factors the last authentication of the person must have used, at least (RFC 9470)',
    }),
  ),
  max_age: Type.Optional(
    Type.String({
      pattern: '^\\d{1,9}$',
      description: 'How many seconds ago the last authentication of the person may be, at most (RFC 9470)',
    }),
  ),
})

/** `ANY /verify`, `ANY /verify/*`: forward authentication. The route itself checks the query. */
export const Verify = {
  summary: 'Ask, as a gateway, whether to admit a request',
  description:
    'For nginx `auth_request`, Caddy `forward_auth`, Traefik `ForwardAuth`, Envoy `ext_authz` and others. It takes every ' +
    'method, and every path below. The query says what the token must have. A parameter may appear several times, and then all of ' +
    'its values count. Other names are ignored, but names that look like these (`roles`, `Scope`, `audience`) get 403. The response has the headers ' +
    '`X-Auth-Sub`, `X-Auth-Sid`, `X-Auth-Client-Id`, `X-Auth-Scope`, `X-Auth-Roles`, `X-Auth-Time`, `X-Auth-Amr`, `X-Auth-Acr` and ' +
    '`X-Auth-Act`. A header without a value is empty. `X-Auth-Act` names the clients that act for the person, the present one first.',
  tags: ['services'],
  security: [{ clientToken: [] }, { bearer: [] }],
  querystring,
  response: {
    200: Empty('Admit the request. At any other status, refuse it'),
    ...errorResponses(400, 401, 403, 500, 503),
  },
}
