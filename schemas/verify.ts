import { errorResponses } from './error.js'
import { Empty } from './fields.js'

/** `ANY /verify`, `ANY /verify/*`: forward authentication. The query is read by the route: see there. */
export const Verify = {
  summary: 'Let a gateway ask whether to admit a request',
  description:
    'For nginx `auth_request`, Caddy `forward_auth`, Traefik `ForwardAuth`, Envoy `ext_authz` and the like. Every method, ' +
    'every path below. Query: `aud`, `scope`, `role` that the token must have, all of them; other names are ignored, but names ' +
    'that look like these (`roles`, `Scope`, `audience`) get 403. The answer carries ' +
    '`X-Auth-Sub`, `X-Auth-Sid`, `X-Auth-Client-Id`, `X-Auth-Scope` and `X-Auth-Roles`, empty where there is nothing to say.',
  tags: ['services'],
  security: [{ bearer: [] }],
  response: { 200: Empty('Admit; at any other answer, do not'), ...errorResponses(401, 403, 500, 503) },
}
