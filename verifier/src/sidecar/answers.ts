import { type AuthenticationDemand, authenticationChallenge, describeDemand } from '../token/authentication.js'
import type { AccessTokenClaims } from '../token/claims.js'
import { identityHeaders } from '../token/forward-auth.js'

/** An HTTP answer of the sidecar, equal to the answer of the service at the same route. */
export interface Answer {
  status: number
  headers: Readonly<Record<string, string>>
  body: string
}

const CHALLENGE = 'Bearer realm="latchkey"'

function refuse(status: number, error: string, description: string, headers: Record<string, string> = {}): Answer {
  return {
    status,
    headers: { 'cache-control': 'no-store', ...headers, 'content-type': 'application/json; charset=utf-8' },
    body: JSON.stringify({ error, error_description: description }),
  }
}

const forbidden = (what: string) =>
  refuse(403, 'insufficient_scope', `the token does not have the ${what} that the query demands`, {
    'www-authenticate': `${CHALLENGE}, error="insufficient_scope"`,
  })

/** The refusals. */
export const refusals = {
  missingToken: refuse(401, 'invalid_token', 'send a token: Authorization: Bearer …', {
    'www-authenticate': CHALLENGE,
  }),
  invalidToken: refuse(401, 'invalid_token', 'the token is not valid, or its session has ended', {
    'www-authenticate': `${CHALLENGE}, error="invalid_token"`,
  }),
  unavailable: refuse(503, 'temporarily_unavailable', 'the service cannot answer now: try again', {
    'retry-after': '1',
  }),
  audience: forbidden('audience'),
  scope: forbidden('scope'),
  role: forbidden('role'),
  misspelt: {
    aud: misspelt('aud'),
    scope: misspelt('scope'),
    role: misspelt('role'),
    acr: misspelt('acr'),
    max_age: misspelt('max_age'),
  },
  brokenQuestion: (description: string) => refuse(403, 'invalid_request', description),
  /** RFC 9470 §3. */
  insufficientAuthentication: (demand: AuthenticationDemand) =>
    refuse(401, 'insufficient_user_authentication', describeDemand(demand), {
      'www-authenticate': `${CHALLENGE}, ${authenticationChallenge(demand)}`,
    }),
  ambiguous: (description: string) => refuse(400, 'invalid_request', description, { connection: 'close' }),
  unreadable: refuse(400, 'invalid_request', 'the request cannot be read'),
  /** RFC 9110 §10.1.1. */
  expectation: {
    status: 417,
    headers: { 'content-type': 'application/json; charset=utf-8', connection: 'close' },
    body: JSON.stringify({ error: 'invalid_request', error_description: 'Expect must be 100-continue' }),
  },
  notFound: refuse(404, 'not_found', 'this address does not exist'),
  unknownMethod: refuse(501, 'invalid_request', 'this service does not know the method'),
  methodNotAllowed: refuse(405, 'invalid_request', 'this address takes GET, HEAD', { allow: 'GET, HEAD' }),
  fault: refuse(500, 'server_error', 'the sidecar failed: its log has the cause'),
}

function misspelt(name: string): Answer {
  return refuse(403, 'invalid_request', `the query has a misspelt parameter that looks like ${name}: write ${name}`)
}

export const admit = (claims: AccessTokenClaims): Answer => ({
  status: 200,
  headers: identityHeaders(claims),
  body: '',
})
