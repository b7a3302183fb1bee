import { plainName } from '@latchkey/verifier/forward-auth'
import type { FastifyRequest } from 'fastify'
import { TOKEN_EXCHANGE } from '../../../schemas/token.js'
import { refusal, WireError } from '../../http/errors.js'

/**
 * Standard parameters that this service does not support, and that ask for less than a token gives without them. RFC 6749 §3.2
 * says to ignore unknown parameters. Ignoring one of these would grant more than the caller asked for. So `/login`,
 * `/refresh` and `/token` refuse them. docs/threat-model.md has the same table.
 */
const UNSUPPORTED: Readonly<Record<string, readonly [error: string, description: string]>> = {
  // RFC 9396
  authorization_details: ['invalid_authorization_details', 'authorization_details is not supported: ask for a scope'],
  // RFC 9449, RFC 7800, RFC 9201: the token would work for every holder.
  dpop_jkt: ['invalid_request', 'dpop_jkt is not supported: tokens are bearer tokens, bound to no key'],
  cnf: ['invalid_request', 'cnf is not supported: tokens are bearer tokens, bound to no key'],
  req_cnf: ['invalid_request', 'req_cnf is not supported: tokens are bearer tokens, bound to no key'],
  // RFC 8693: the token would belong to the caller, or have another type.
  subject_token: exchangeOnly('subject_token'),
  subject_token_type: exchangeOnly('subject_token_type'),
  requested_token_type: exchangeOnly('requested_token_type'),
  actor_token: ['invalid_request', 'actor_token is not supported: the client that authenticates is the actor'],
  actor_token_type: [
    'invalid_request',
    'actor_token_type is not supported: the client that authenticates is the actor',
  ],
  // OpenID Connect Core §5.5 and §3.1.2.1, RFC 9101
  claims: ['invalid_request', 'claims is not supported: leave it out'],
  acr_values: [
    'unmet_authentication_requirements',
    'acr_values is not supported: ask for acr at /verify, and step up at /login/step-up',
  ],
  request: ['request_not_supported', 'request is not supported: send the parameters as they are'],
  request_uri: ['request_uri_not_supported', 'request_uri is not supported: send the parameters as they are'],
}

/** The parameters that only a token exchange has. */
export const EXCHANGE_PARAMETERS: ReadonlySet<string> = new Set([
  'subject_token',
  'subject_token_type',
  'requested_token_type',
])

function exchangeOnly(name: string): readonly [error: string, description: string] {
  return ['invalid_request', `${name} belongs to a token exchange: send grant_type=${TOKEN_EXCHANGE} to /token`]
}

/** The parameters that narrow a grant, by the name that a caller may have meant. */
const NARROWING: Readonly<Record<string, Narrowing>> = {
  scope: 'scope',
  aud: 'audience',
  audience: 'audience',
  role: 'role',
  resource: 'resource',
}
type Narrowing = 'scope' | 'audience' | 'role' | 'resource'

/**
 * The parameter that a misspelt name means. It finds another case, the plural, brackets and other marks, and the `amp;` that
 * HTML leaves behind. Ignoring the name would grant more, so callers get an error for it.
 */
function misspeltNarrowing(name: string): Narrowing | undefined {
  const word = plainName(name)
  return Object.hasOwn(NARROWING, word) ? NARROWING[word] : undefined
}

/**
 * Guard: refuses a request for tokens with a limit that this service would ignore.
 *
 * @param supported the names that this grant understands, although others do not
 */
export function refuseIgnoredLimits(
  { body, query, headers }: FastifyRequest,
  supported: ReadonlySet<string> = new Set(),
): void {
  // RFC 9449 §5: the header is a proof, and asks for a token that is bound to its key.
  if (headers.dpop !== undefined) {
    throw refusal.invalidRequest('DPoP is not supported: tokens are bearer tokens, bound to no key')
  }
  for (const name of Object.keys(query as object)) {
    if (Object.hasOwn(UNSUPPORTED, name) || isLimit(name)) {
      throw refusal.invalidRequest(`${meantName(name)} must not be in the address: send it in the body`)
    }
  }
  for (const name of Object.keys(body as object)) {
    if (supported.has(name)) continue
    const unsupported = Object.hasOwn(UNSUPPORTED, name) ? UNSUPPORTED[name] : undefined
    if (unsupported) throw new WireError(400, ...unsupported)
    if (!LIMITS.has(name) && isLimit(name)) {
      throw refusal.invalidRequest(`a parameter looks like ${meantName(name)} and is not: write ${meantName(name)}`)
    }
  }
}

const LIMITS: ReadonlySet<string> = new Set(['scope', 'audience', 'resource'])

/** `role` is not a limit here: a session has the roles of the account. */
const isLimit = (name: string): boolean => !['role', undefined].includes(misspeltNarrowing(name))

const meantName = (name: string): string => misspeltNarrowing(name) ?? name
