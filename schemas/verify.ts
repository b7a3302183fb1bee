import { errorResponses } from './error.js'
import { Empty } from './fields.js'

/** `ANY /verify`, `ANY /verify/*`: forward authentication. The route itself checks the query. */
export const Verify = {
  summary: 'Ask, as a gateway, whether to admit a request',
  description:
    'For nginx `auth_request`, Caddy `forward_auth`, Traefik `ForwardAuth`, Envoy `ext_authz` and others. It takes every ' +
    'method, and every path below. In the query, `aud`, `scope` and `role` are required of the token, all of them. ' +
    '`acr=2` and `max_age=300` are required of the last authentication of the person (RFC 9470). Other names are ' +
    'ignored, but names that look like these (`roles`, `Scope`, `audience`) get 403. The response has the headers ' +
    '`X-Auth-Sub`, `X-Auth-Sid`, `X-Auth-Client-Id`, `X-Auth-Scope`, `X-Auth-Roles`, `X-Auth-Time`, `X-Auth-Amr`, `X-Auth-Acr` and ' +
    '`X-Auth-Act`. A header without a value is empty. `X-Auth-Act` names the clients that act for the person, the present one first.',
  tags: ['services'],
  security: [{ bearer: [] }],
  response: { 200: Empty('Admit the request. At any other status, refuse it'), ...errorResponses(401, 403, 500, 503) },
}
