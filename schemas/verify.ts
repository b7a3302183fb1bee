import { Type } from 'typebox'
import { ErrorBody } from './error.js'
import { Empty } from './fields.js'

const refused = (description: string) => Type.Object(ErrorBody.properties, { description })

/** `ANY /verify`, `ANY /verify/*`: forward authentication. The query is read by the route: see there. */
export const Verify = {
  summary: 'Let a gateway ask whether to admit a request',
  description:
    'For nginx `auth_request`, Caddy `forward_auth`, Traefik `ForwardAuth`, Envoy `ext_authz` and the like. Every method, ' +
    'every path below. Query: `aud`, `scope`, `role` that the token must have, all of them. The answer carries ' +
    '`X-Auth-Sub`, `X-Auth-Sid`, `X-Auth-Client-Id`, `X-Auth-Scope` and `X-Auth-Roles`, empty where there is nothing to say.',
  tags: ['services'],
  security: [{ bearer: [] }],
  response: {
    200: Empty('Admit'),
    401: refused('No live token'),
    403: refused('The token lacks an audience, a scope or a role'),
    500: refused('A fault of the service'),
    503: refused('A store is away: do not admit'),
  },
}
